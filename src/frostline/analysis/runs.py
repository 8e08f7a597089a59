"""Run folders: finding them under whatever a user names, and reading what is in them."""

from __future__ import annotations

import logging
import math
import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from frostline.analysis.curves import epoch_seconds, read_results
from frostline.errors import InputError
from frostline.files import MOST_YAML_BYTES, parse_yaml, read_bounded, read_json

logger = logging.getLogger(__name__)

EVALUATION = "evaluation.json"
"""What `frostline evaluate` writes beside `predictions.parquet`."""

_SEED_FOLDER = re.compile(r"seed[_-]?(\d+)")
_NOT_STUDIES = frozenset({"weights", "report", "images", "labels", "__pycache__"})
_MARKS = ("run.json", "results.csv", EVALUATION)  # a folder with one of them is a run
_DEEPEST = 6  # folders/study/arm/seed and room to spare, but no walk through a whole disk


@dataclass(frozen=True)
class RunFolder:
    """A finished, running or broken training run on disk, of Frostline or of plain Ultralytics. Files are read once.

    Attributes:
        path: the folder.
        arm: name of the arm; for plain Ultralytics, of the folder.
        seed: the run's seed, None where nothing tells.
    """

    path: Path
    arm: str
    seed: int | None

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Read a folder's name tags: from `run.json`, else from the folders' names and `args.yaml`."""
        run = cls(path, path.name, None)
        folder_seed = _SEED_FOLDER.fullmatch(path.name)
        arm, seed = path.parent.name if folder_seed else path.name, None
        with suppress(InputError):  # of a damaged one its folders' names are all that is known
            arm, seed = run.text("arm") or arm, run.number("seed")
        if seed is None and folder_seed:
            seed = float(folder_seed[1])
        if seed is None and not run.ours and isinstance(run.arguments.get("seed"), int):
            seed = run.arguments["seed"]
        return replace(run, arm=arm, seed=None if seed is None else int(seed))

    @cached_property
    def damage(self) -> str | None:
        """Which of its files is damaged and how; None for a run that can be read."""
        try:
            _ = self.record, self.evaluation, self.results, self.arguments
        except InputError as error:
            return str(error)
        return None

    @cached_property
    def ours(self) -> bool:
        """Whether Frostline ran it: there is a `run.json`, even an empty one."""
        return (self.path / "run.json").is_file()

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """Everything in `run.json`; empty for plain Ultralytics.

        Raises:
            InputError: the file is no JSON object.
        """
        return _read_json(self.path / "run.json")

    @cached_property
    def evaluation(self) -> Mapping[str, Any]:
        """What `frostline evaluate` wrote of a run without `run.json`; empty where it did not, and for our own runs.

        Raises:
            InputError: the file is no JSON object.
        """
        return {} if self.ours else _read_json(self.path / EVALUATION)

    @cached_property
    def results(self) -> pl.DataFrame | None:
        """The learning curves as `curves.read_results` gives them; None when no epoch was written yet."""
        path = self.path / "results.csv"
        if not path.is_file() or (self.ours and not path.stat().st_size):  # a kill before its first row was in it
            return None
        return read_results(path)

    @cached_property
    def arguments(self) -> Mapping[str, Any]:
        """Everything in `args.yaml`, Ultralytics' training arguments; empty when there is no such file."""
        path = self.path / "args.yaml"
        return _read_yaml(path) if path.is_file() else {}

    @property
    def status(self) -> str | None:
        """`finished`, `running`, `failed` or `interrupted`; None for plain Ultralytics, which does not say."""
        return self.text("status")

    @property
    def counts(self) -> bool:
        """Whether its numbers are final: not so for a run that is known to be running, failed or interrupted."""
        return self.status in (None, "finished")

    @property
    def freeze_depth(self) -> int | None:
        """How many leading layers were frozen throughout; None when the plan was another kind or nothing tells."""
        if self.ours or "freeze_depth" in self.evaluation:
            depth = self.number("freeze_depth")
            return None if depth is None else int(depth)
        if "freeze" not in self.arguments:
            return None
        return _leading_layers(self.arguments["freeze"])

    @property
    def seconds_an_epoch(self) -> float | None:
        """Median over the run's epochs: from `run.json`, else from the `time` column of `results.csv`."""
        recorded = self.value("epoch_seconds")
        seconds = [number for item in recorded if (number := _number(item)) is not None] if recorded else []
        if not seconds and self.results is not None:
            seconds = epoch_seconds(self.results)
        return statistics.median(seconds) if seconds else None

    def value(self, *keys: str) -> Any:
        """Return what `run.json`, or else `evaluation.json`, holds under nested keys; None where any is missing."""
        value: Any = self.record or self.evaluation
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def number(self, *keys: str) -> float | None:
        """Return a finite number of `value` under nested keys, else None."""
        return _number(self.value(*keys))

    def text(self, *keys: str) -> str | None:
        """Return a non-empty string of `value` under nested keys, else None."""
        value = self.value(*keys)
        return value if isinstance(value, str) and value else None


def find_runs(paths: Iterable[Path | str]) -> list[RunFolder]:
    """Find the run folders under study, arm, run and plain Ultralytics folders, in any mix.

    Arms come in the order of the paths; within one path in the order of its `study.yaml`, else `baseline` first and
    the others as a person would sort them (`freeze_1_to_3` before `freeze_1_to_10`). Seeds of an arm come together,
    rising. Where two folders claim the same arm and seed, the arms are told apart by their folders. A folder given
    twice counts once. Folders of stages inside a run are no runs of their own.

    Args:
        paths: folders.

    Raises:
        InputError: a path does not exist, is no folder, or has no results in it or below.
    """
    found: dict[Path, RunFolder] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            fault = "is a file, expected its folder" if path.exists() else "no such folder"
            raise InputError(f"{path}: {fault}")
        runs, _ = _collect(path, _DEEPEST, frozenset())
        if not runs:
            raise InputError(f"{path}: no results; expected results.csv or run.json in it or in a folder below it")
        for run in runs:
            found.setdefault(run.path.resolve(), run)
    runs = _told_apart(list(found.values()))
    order = {arm: index for index, arm in reversed(list(enumerate(run.arm for run in runs)))}
    return sorted(runs, key=lambda run: (order[run.arm], -1 if run.seed is None else run.seed))


def find_whole_runs(paths: Iterable[Path | str]) -> list[RunFolder]:
    """Find run folders as `find_runs` does, but for those with damaged files: each is named in a warning.

    Raises:
        InputError: see `find_runs`; or every run is damaged.
    """
    runs = find_runs(paths)
    damaged = [run for run in runs if run.damage is not None]
    if len(damaged) == len(runs):
        raise InputError(str(damaged[0].damage))
    for run in damaged:
        logger.warning("warning: %s; this run is left out", run.damage)
    return [run for run in runs if run.damage is None]


def experiment_folder(name: str, parents: Sequence[Path]) -> Path:
    """Find the folder that a short name of an experiment means.

    Args:
        name: a path, a folder's name, or `1-3` for the run that froze layers 1 to 3, `freeze_1_to_3`.
        parents: folders to look in when `name` is no folder as it stands, first come, first served.

    Raises:
        InputError: there is no such folder; the message lists where it was looked for.
    """
    depth = re.fullmatch(r"1(?:-|_|_to_)(\d+)", name)
    names = [name, f"freeze_1_to_{depth[1]}"] if depth else [name]
    candidates = [Path(name), *(parent / each for parent in parents for each in names)]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    looked = ", ".join(dict.fromkeys(map(str, candidates)))
    raise InputError(f"{name}: no such experiment folder; looked for {looked}")


def _collect(folder: Path, depth: int, above: frozenset[Path]) -> tuple[list[RunFolder], bool]:
    """Give the runs at or below a folder, and whether a study file put them in order."""
    if any((folder / name).is_file() for name in _MARKS):
        return [RunFolder.open(folder)], False
    above = above | {folder.resolve()}
    runs: list[RunFolder] = []
    ordered = False
    for child in _subfolders(folder) if depth else []:
        if child.resolve() not in above:  # a link that leads back up
            more, in_order = _collect(child, depth - 1, above)
            runs += more
            ordered |= in_order
    study = folder / "study.yaml"
    if study.is_file():
        arms = _read_yaml(study).get("arms")
        ranks = {str(arm): rank for rank, arm in enumerate(arms)} if isinstance(arms, Mapping) else {}
        return sorted(runs, key=lambda run: (ranks.get(run.arm, len(ranks)), *_natural_order(run))), True
    return runs if ordered else sorted(runs, key=_natural_order), ordered


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except PermissionError:
        logger.warning("%s: may not be read and is left out", folder)
        return []
    wanted = (name for name in names if not name.startswith(".") and name not in _NOT_STUDIES)
    return [folder / name for name in sorted(wanted, key=natural_key)]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that orders the numbers in names by value: `1-3`, `1-6`, `1-10`."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in parts)


def _natural_order(run: RunFolder) -> tuple[Any, ...]:
    seed = -1 if run.seed is None else run.seed
    return run.arm != "baseline", natural_key(run.arm), seed, natural_key(str(run.path))


def _told_apart(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Name arms by their folders where one name and seed stands for two runs, so that no run is taken for a seed.

    Then all arms beside such an arm are named so too: of two studies, `a/baseline`, `a/freeze_1_to_3`, `b/baseline`.
    """
    members: dict[tuple[str, int | None], set[Path]] = {}
    for run in runs:
        members.setdefault((run.arm, run.seed), set()).add(_arm_folder(run))
    studies = {place.parent for places in members.values() if len(places) > 1 for place in places}
    if not studies:
        return list(runs)
    shared = os.path.commonpath(studies)
    return [
        replace(run, arm=place.relative_to(shared).as_posix()) if place.parent in studies else run
        for run in runs
        for place in [_arm_folder(run)]
    ]


def _arm_folder(run: RunFolder) -> Path:
    path = run.path.resolve()
    return path.parent if _SEED_FOLDER.fullmatch(path.name) else path


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object")
    return value


def _read_yaml(path: Path) -> Mapping[str, Any]:
    # By the quick loader: hundreds of runs have an args.yaml of a hundred lines each.
    try:
        value = parse_yaml(read_bounded(path, MOST_YAML_BYTES).decode("utf-8"), unique=False)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
    return value if isinstance(value, Mapping) else {}


def _leading_layers(freeze: object) -> int | None:
    """Read Ultralytics' `freeze` argument: a number of layers, or a list of layers that may be the leading ones."""
    if freeze is None:
        return 0
    if isinstance(freeze, int) and not isinstance(freeze, bool) and freeze >= 0:
        return freeze
    if isinstance(freeze, list) and sorted(map(str, freeze)) == sorted(map(str, range(len(freeze)))):
        return len(freeze)
    return None


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
