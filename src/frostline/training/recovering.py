"""What Ultralytics does by itself where a step fails, noted and told: a smaller batch, the way back from NaN."""

from __future__ import annotations

from typing import Any

from frostline.training.several import SeveralTrainer


class RecoveringTrainer(SeveralTrainer):
    """Tells its user where memory ran out or the loss became NaN, and what Ultralytics did about it."""

    optimizer: Any = None

    def _build_train_pipeline(self) -> None:
        again = self.optimizer is not None  # Ultralytics builds anew only where memory ran out
        super()._build_train_pipeline()
        if again:
            self.progress.batch = int(self.batch_size)
            self.job.say(
                f"warning: out of memory: training starts again with batch {self.batch_size}; other arms of a study "
                "have another batch then, and do not compare"
            )

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Go back to the last checkpoint where the loss or the fitness is no number, and count that."""
        before = self.nan_recovery_attempts
        recovered: bool = super()._handle_nan_recovery(epoch)
        if recovered and self.nan_recovery_attempts > before:
            self.progress.nan_epochs.append(epoch + 1)
            if self.leads:
                self.progress.save(self.save_dir)  # the next attempt may be the last one
            self.job.say(f"warning: epoch {epoch + 1}: NaN; trained again from the checkpoint of epoch {epoch}")
        return recovered
