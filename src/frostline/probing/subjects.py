"""The models that are looked at side by side: checkpoints, runs, and the arms of studies, each with a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.analysis import RunFolder, find_runs
from frostline.errors import InputError
from frostline.training.predict_model import find_weights


@dataclass(frozen=True)
class Subject:
    """A model to look at.

    Attributes:
        name: of its column; no other has the same.
        weights: its checkpoint.
    """

    name: str
    weights: Path


def find_subjects(what: Sequence[str | Path], say: Callable[[str], None]) -> list[Subject]:
    """Find the checkpoint of every model that is named.

    A folder of several arms gives the first seed of each; one of a single arm gives all its seeds. Runs without
    weights are left out of a folder of several, and told.

    Args:
        what: checkpoints, by path or official name, and run, arm and study folders.
        say: told lines for the user.

    Raises:
        InputError: nothing is named, or something that has no weights.
    """
    found: list[tuple[str, Path]] = []
    for one in what:
        path = Path(one)
        if not path.is_dir():
            found.append((path.stem, find_weights(one)))
            continue
        runs = find_runs([path])
        chosen = _first_seeds(runs)
        if len(chosen) < len(runs):
            say(f"{path}: the first seed of each arm is taken; name a run's folder for another")
        found += _weights(chosen, say)
    if not found:
        raise InputError("no model was named; give a checkpoint or the folder of a run, an arm or a study")
    unique = list(dict.fromkeys(found))
    shared = Counter(name for name, _ in unique)
    return [Subject(name if shared[name] == 1 else str(weights), weights) for name, weights in unique]


def _first_seeds(runs: Sequence[RunFolder]) -> list[RunFolder]:
    first: dict[str, RunFolder] = {}
    for run in runs:
        first.setdefault(run.arm, run)
    return list(runs) if len(first) == 1 else list(first.values())


def _weights(runs: Sequence[RunFolder], say: Callable[[str], None]) -> list[tuple[str, Path]]:
    seeds = len({run.arm for run in runs}) == 1 and len(runs) > 1
    found = []
    for run in runs:
        try:
            found.append((f"{run.arm} seed {run.seed}" if seeds else run.arm, find_weights(run.path)))
        except InputError as error:
            if len(runs) == 1:
                raise
            say(f"left out: {error}")
    return found
