"""A run of a study: its place on disk, and what is there of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from frostline.training import Run, RunSpec
from frostline.training.progress import Progress
from frostline.training.spec import stage_folders


@dataclass(frozen=True)
class PlannedRun:
    """One arm with one seed, and its folder."""

    spec: RunSpec
    folder: Path

    @property
    def label(self) -> str:
        """`arm/seed0`."""
        return f"{self.spec.arm}/seed{self.spec.seed}"

    @property
    def finished(self) -> bool:
        """Whether its folder holds the finished run."""
        run = Run.open(self.folder)
        return run is not None and run.status == "finished"


def saved_progress(planned: PlannedRun) -> Iterator[Progress]:
    """Give the memory of each stage that has begun."""
    for folder in stage_folders(planned.folder, len(planned.spec.plan.stages)):
        progress = Progress.load(folder)
        if progress is not None:
            yield progress
