"""What every tracker does: it opens a record of a run, one of each stage where there are several, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ARTIFACTS = frozenset({".json", ".csv", ".yaml", ".png", ".jpg", ".html", ".md", ".tex"})
"""Files of a run that a tracker keeps. Checkpoints stay where they are: a tag names their folder."""

Callbacks = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Track:
    """What is tracked, and as what.

    Attributes:
        tracker: one of `TRACKERS`.
        experiment: the study's name, or the folder's that runs are made in.
        label: the run's: `arm/seed0`.
    """

    tracker: str
    experiment: str
    label: str


class Tracker(Protocol):
    """Keeps one run."""

    def begin(self, params: Mapping[str, Any]) -> None:
        """Open the run, or the one that an interrupted run began."""

    def stage(self, number: int, count: int) -> Callbacks:
        """Make ready for a stage, and return Ultralytics' callbacks that fill it."""

    def end(self, status: str, metrics: Mapping[str, float], files: list[Path]) -> None:
        """Close the run with what it came to: `finished`, `failed` or `interrupted`."""


def stage_callbacks(module: Any, names: tuple[str, ...]) -> Callbacks:
    """Return some of the callbacks that a module of Ultralytics has, by event."""
    return {name: module.callbacks[name] for name in names if name in module.callbacks}


def files_of(folder: Path) -> list[Path]:
    """List what a tracker keeps of a run: its records, curves and pictures."""
    return sorted(one for one in folder.iterdir() if one.suffix in ARTIFACTS and not one.name.startswith("."))


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables while the block runs."""
    import os

    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
