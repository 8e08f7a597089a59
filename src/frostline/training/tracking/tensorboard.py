"""TensorBoard: event files in each stage's folder by Ultralytics, and the run's plan, audit and metrics in its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frostline.training.tracking.base import Callbacks, Track, stage_callbacks


class TensorboardTracker:
    """See `Tracker`. `tensorboard --logdir` of the study's folder shows every run.

    Args:
        track: what is tracked.
        folder: the run's.
    """

    def __init__(self, track: Track, folder: Path) -> None:
        self.track = track
        self.folder = folder
        self.params: dict[str, Any] = {}

    def begin(self, params: Mapping[str, Any]) -> None:
        """Note what the run is made with."""
        self.params = dict(params)

    def stage(self, number: int, count: int) -> Callbacks:
        """Make ready for a stage; Ultralytics writes beside its `results.csv`."""
        from ultralytics.utils.callbacks import tensorboard as theirs

        # not `on_train_start`, which traces the model and would leave its BatchNorms in eval mode
        return stage_callbacks(
            theirs, ("on_pretrain_routine_start", "on_train_epoch_end", "on_fit_epoch_end", "teardown")
        )

    def end(self, status: str, metrics: Mapping[str, float], files: list[Path]) -> None:
        """Write what the run came to."""
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.folder)) as writer:
            for file in files:
                if file.suffix in {".json", ".yaml"}:
                    writer.add_text(file.name, f"```\n{file.read_text(encoding='utf-8')}\n```")
            for key, value in metrics.items():
                writer.add_scalar(f"final/{key}", value)
            writer.add_text("run", f"{self.track.experiment} {self.track.label}: {status}")
