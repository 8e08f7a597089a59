"""What is left to do of a stage, from what a kill or a damaged disk left of it, and what befell it so far.

A kill can come between any two files of an epoch: after its last checkpoint and before its best one, or before its
memory. All of them are brought back to one epoch here, that of the last checkpoint.
"""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.files import written_beside
from frostline.training.checkpoints import read_checkpoint
from frostline.training.progress import Progress
from frostline.training.saving import PREVIOUS
from frostline.training.vetting import UnsafeCheckpointError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Left:
    """What is left to do of a stage.

    Attributes:
        state: `new`, `resume`, or `trained` where only the evaluation is missing.
        notes: what its user was told about its checkpoints.
    """

    state: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Saved:
    """A checkpoint of this run.

    Attributes:
        epoch: that it was saved after, from 0; -1 for one that was stripped.
        best: no epoch before was better.
    """

    epoch: int
    best: bool


def what_is_left(folder: Path, epochs: int, say: Say, trust: bool = False) -> Left:
    """Tell what is left to do of a stage, after bringing its files to one epoch.

    Args:
        folder: the stage's.
        epochs: it has in all.
        say: told where a checkpoint cannot be read, and what is done about it.
        trust: open checkpoints without the restricted loader.

    Raises:
        UnsafeCheckpointError: a checkpoint names what could run code, as in a folder that came from elsewhere.
    """
    weights, notes = folder / "weights", []
    last, previous = weights / "last.pt", weights / PREVIOUS

    def note(text: str) -> None:
        notes.append(text)
        say(f"warning: {text}")

    saved, progress = read_saved(last, trust), Progress.load(folder)
    if saved is None and (earlier := read_saved(previous, trust)) is not None:
        note(f"{last} is {_fault(last)}: going back to the checkpoint before it, of epoch {earlier.epoch + 1}")
        with written_beside(last) as beside:
            shutil.copyfile(previous, beside)
        saved = earlier
    if saved is None or progress is None:
        if progress is not None and progress.epoch_seconds:
            note(f"{last} is {_fault(last)}, and there is no checkpoint before it: training starts from its beginning")
        elif saved is not None and saved.epoch != 0:  # a kill in the first epoch leaves a checkpoint without memory
            note(f"{folder / 'progress.json'} cannot be read: training starts from its beginning")
        return Left("new", tuple(notes))
    if saved.epoch >= 0:
        _to_one_epoch(folder, progress, saved, note, trust)
        progress.save(folder)
    # A kill between the last epoch and stripping leaves the last epoch's number.
    return Left("trained" if saved.epoch < 0 or saved.epoch + 1 >= epochs else "resume", tuple(notes))


def read_saved(path: Path, trust: bool = False) -> Saved | None:
    """Read a checkpoint that this run wrote; None where there is none, or it is torn or damaged.

    Args:
        path: of the checkpoint.
        trust: see `what_is_left`.

    Raises:
        UnsafeCheckpointError: see `what_is_left`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # torch does not look at every sum
                return None
        checkpoint = read_checkpoint(path, trust)
        fitness = (checkpoint.get("train_metrics") or {}).get("fitness")
        return Saved(int(checkpoint["epoch"]), fitness is not None and fitness == checkpoint.get("best_fitness"))
    except UnsafeCheckpointError:
        raise
    except Exception:  # whatever is wrong with it, there is nothing to go on from
        return None


def what_happened(folders: Sequence[Path]) -> dict[str, Any]:
    """Return what befell a run so far, for `run.json`: recoveries from NaN, and notes about its checkpoints.

    Args:
        folders: of its stages.
    """
    known = [progress for progress in map(Progress.load, folders) if progress is not None]
    return {
        "nan_recoveries": sum(len(progress.nan_epochs) for progress in known),
        "notes": [note for progress in known for note in progress.notes],
    }


def _fault(path: Path) -> str:
    return "damaged" if path.exists() else "missing"


def _to_one_epoch(folder: Path, progress: Progress, saved: Saved, note: Say, trust: bool) -> None:
    """Make the best checkpoint and the memory of a stage be those of its last checkpoint's epoch."""
    best, last = folder / "weights" / "best.pt", folder / "weights" / "last.pt"
    there = read_saved(best, trust)
    if saved.best and (there is None or there.epoch != saved.epoch):  # killed between the two
        with written_beside(best) as beside:
            shutil.copyfile(last, beside)
        there = saved
    elif there is None and best.exists():
        note(f"{best} is damaged and removed: the last checkpoint stands for it until an epoch is better")
        best.unlink()
    if there is not None and there.epoch >= 0:
        progress.best_epoch = there.epoch + 1
    times = _times(folder / "results.csv")
    for epoch in range(1, saved.epoch + 2):
        if epoch not in progress.epoch_seconds and epoch in times:
            progress.epoch_seconds[epoch] = round(times[epoch] - times.get(epoch - 1, 0.0), 4)


def _times(path: Path) -> dict[int, float]:
    """Return the seconds since training began at the end of each epoch, as `results.csv` has them."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [{str(key).strip(): value for key, value in row.items()} for row in csv.DictReader(stream)]
        return {int(row["epoch"]): float(row["time"]) for row in rows if row.get("time")}
    except (OSError, ValueError, KeyError):
        return {}
