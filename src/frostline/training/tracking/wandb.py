"""Weights & Biases: a study is a project, an arm a group, a stage of a run one of its runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frostline.training.tracking.base import Callbacks, Track, stage_callbacks


class WandbTracker:
    """See `Tracker`. Where it sends to is wandb's to decide: WANDB_MODE=offline keeps everything on this disk.

    One run is open at a time in a process: arms in lockstep cannot be tracked so.

    Args:
        track: what is tracked.
        folder: the run's.
    """

    def __init__(self, track: Track, folder: Path) -> None:
        self.track = track
        self.folder = folder
        self.params: dict[str, Any] = {}
        self._open: Any = None

    def begin(self, params: Mapping[str, Any]) -> None:
        """Note what the run is made with."""
        self.params = dict(params)

    def _start(self, name: str) -> Any:
        import wandb

        if self._open is not None:
            self._open.finish()
        # the same name again is the same run: one that was interrupted goes on
        number = hashlib.sha256(f"{self.folder.absolute()} {name}".encode()).hexdigest()[:16]
        self._open = wandb.init(
            project=self.track.experiment, group=self.track.label.split("/")[0], name=name, id=number, resume="allow",
            dir=str(self.folder), config=self.params, reinit="finish_previous",
        )  # fmt: skip
        return self._open

    def stage(self, number: int, count: int) -> Callbacks:
        """Open the stage's run, which Ultralytics' callbacks then find open."""
        from ultralytics.utils.callbacks import wb as theirs

        self._start(self.track.label if count == 1 else f"{self.track.label}/stage{number}")
        return stage_callbacks(theirs, ("on_pretrain_routine_end", "on_train_epoch_end", "on_fit_epoch_end"))

    def end(self, status: str, metrics: Mapping[str, float], files: list[Path]) -> None:
        """Keep what the run came to with its last stage, and close it."""
        import wandb

        run = self._open or self._start(self.track.label)
        run.summary.update({**metrics, "status": status})
        kept = wandb.Artifact(name=f"run-{run.id}", type="frostline-run")
        for file in files:
            kept.add_file(str(file))
        run.log_artifact(kept)
        run.finish(exit_code=0 if status == "finished" else 1)
        self._open = None


def log_study(experiment: str, store: Path, files: list[Path]) -> None:
    """Keep a study's report, as a run called `report` of its project."""
    tracker = WandbTracker(Track("wandb", experiment, "report"), store)
    tracker.end("finished", {}, files)
