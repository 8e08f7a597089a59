"""Panels: runs read and sorted into groups that can be compared, and what could not be, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import polars as pl

from frostline.analysis.blocks import usable_cores
from frostline.analysis.bootstrap import Resamples, resample, work_of
from frostline.analysis.predictions import Predictions, PredictionSettings, read_predictions
from frostline.analysis.runs import RunFolder
from frostline.analysis.scoring import RunScorer
from frostline.errors import InputError

PREDICTIONS = "predictions.parquet"

Seed = int | None
Advance = Callable[[str, int, int], None]
"""Told of what is done: the step in words, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class LeftOut:
    """A run that takes no part in the statistics.

    Attributes:
        run: the run.
        reason: why, in one line.
    """

    run: RunFolder
    reason: str

    @property
    def label(self) -> str:
        """Arm and seed."""
        return label(self.run)


@dataclass(frozen=True)
class Panel:
    """Arms that were validated on the same images, with the same classes, ground truth and settings.

    Attributes:
        images: (I,) names of the images as the first run has them, in the order of the scorers' weights.
        classes: (C,) names.
        settings: of the evaluation.
        runs: run folders by arm and seed.
        scorers: by the same keys. Their images are named without the file's suffix, by which runs are paired.
        resamples: all of them under the same draws of images.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    settings: PredictionSettings
    runs: Mapping[str, Mapping[Seed, RunFolder]]
    scorers: Mapping[str, Mapping[Seed, RunScorer]]
    resamples: Resamples


def label(run: RunFolder) -> str:
    """Name a run: its arm, and its seed where there is one."""
    return run.arm if run.seed is None else f"{run.arm}, seed {run.seed}"


def paired_by_stem(predictions: Predictions) -> tuple[Predictions, dict[str, str]]:
    """Name images without their suffix, so that a TIFF and a PNG of one picture pair; as they are where that clashes.

    Returns:
        The predictions, and the file's name of each image by its new one.
    """
    names = predictions.frame.get_column("image").unique().to_list()
    stems = {name: str(PurePosixPath(name).with_suffix("")) for name in names}
    if len(set(stems.values())) < len(names):
        return predictions, {name: name for name in names}
    frame = predictions.frame.with_columns(pl.col("image").replace_strict(stems, return_dtype=pl.String))
    return replace(predictions, frame=frame), {stem: name for name, stem in stems.items()}


@dataclass(frozen=True)
class ReadRun:
    """A run whose predictions are read and matched; `names` gives the file of each image."""

    run: RunFolder
    scorer: RunScorer
    names: Mapping[str, str]
    settings: PredictionSettings

    def same(self, other: ReadRun) -> str | None:
        """Say why two runs cannot be compared, or None."""
        mine, theirs = self.scorer.boxes, other.scorer.boxes
        if mine.names != theirs.names:
            return f"other classes ({_listed(mine.names)} instead of {_listed(theirs.names)})"
        if mine.images != theirs.images:
            common = len(set(mine.images) & set(theirs.images))
            return f"other validation images ({len(mine.images)}, of which {common} are among the {len(theirs.images)})"
        if not np.array_equal(self.scorer.ultralytics.truths, other.scorer.ultralytics.truths):
            return f"another ground truth ({len(mine.truth_image)} objects instead of {len(theirs.truth_image)})"
        for what in ("conf", "iou", "max_det"):
            a, b = getattr(self.settings, what), getattr(other.settings, what)
            if a != b:
                return f"evaluated with {what} {a:g} instead of {b:g}"
        return None


def readable(runs: Sequence[RunFolder]) -> tuple[list[RunFolder], list[LeftOut]]:
    """Take out runs whose record, curves or arguments are damaged: one of them is no reason to lose the others."""
    whole, broken = [], []
    for run in runs:
        if run.damage is not None:
            broken.append(LeftOut(run, run.damage))
        else:
            whole.append(run)
    if not whole:
        raise InputError(broken[0].reason)
    return whole, broken


def read_runs(runs: Sequence[RunFolder], advance: Advance) -> tuple[list[ReadRun], list[LeftOut]]:
    """Read and match the predictions of runs; those that have none, or damaged ones, are left out."""
    read: list[ReadRun] = []
    unread: list[LeftOut] = []
    with ThreadPoolExecutor(usable_cores()) as pool:  # matching lets go of the interpreter's lock
        for number, one in enumerate(pool.map(_opened, runs), 1):
            if isinstance(one, ReadRun):
                read.append(one)
            else:
                unread.append(one)
            advance("reading predictions", number, len(runs))
    return read, unread


def _opened(run: RunFolder) -> ReadRun | LeftOut:
    path = run.path / PREDICTIONS
    if not path.is_file():
        reason = f"no {PREDICTIONS}, so curves only; 'frostline evaluate {run.path}' makes one from its checkpoint"
        return LeftOut(run, reason)
    try:
        predictions, names = paired_by_stem(read_predictions(path))
        return ReadRun(run, RunScorer(predictions), names, predictions.settings)
    except InputError as error:
        return LeftOut(run, str(error))


def grouped(read: Sequence[ReadRun], baseline: str | None) -> tuple[list[list[ReadRun]], list[LeftOut]]:
    """Sort runs into groups that can be compared, an arm in one group only: where most of its runs are."""
    groups: list[list[ReadRun]] = []
    for one in read:
        group = next((group for group in groups if one.same(group[0]) is None), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)

    def rank(group: list[ReadRun]) -> tuple[int, int]:
        arms = [one.run.arm for one in group]
        return arms.count(baseline or ""), len(set(arms))

    groups.sort(key=rank, reverse=True)
    home: dict[str, int] = {}
    for arm in dict.fromkeys(one.run.arm for one in read):
        counts = [sum(one.run.arm == arm for one in group) for group in groups]
        home[arm] = counts.index(max(counts))
    odd = [
        LeftOut(one.run, f"{one.same(_first_of(groups[home[one.run.arm]], one.run.arm))} than the rest of its arm")
        for index, group in enumerate(groups)
        for one in group
        if home[one.run.arm] != index
    ]
    kept = [[one for one in group if home[one.run.arm] == index] for index, group in enumerate(groups)]
    return [group for group in kept if group], odd


def _first_of(group: Sequence[ReadRun], arm: str) -> ReadRun:
    return next(one for one in group if one.run.arm == arm)


def make_panels(groups: Sequence[Sequence[ReadRun]], draws: int, jackknife: bool, advance: Advance) -> list[Panel]:
    """Score each group under the same draws of images; `jackknife` also leaves each image out once."""
    total = sum(work_of(len(group), len(group[0].scorer.images) if jackknife else 0, draws) for group in groups)
    done = 0

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        advance("drawing images", done, total)

    panels = []
    for group in groups:
        runs: dict[str, dict[Seed, RunFolder]] = {}
        scorers: dict[str, dict[Seed, RunScorer]] = {}
        for one in group:
            runs.setdefault(one.run.arm, {})[one.run.seed] = one.run
            scorers.setdefault(one.run.arm, {})[one.run.seed] = one.scorer
        first = group[0]
        resamples = resample(scorers, draws=draws, jackknife=jackknife, advance=on_rows)
        images = tuple(first.names[name] for name in first.scorer.images)
        panels.append(Panel(images, first.scorer.boxes.names, first.settings, runs, scorers, resamples))
    return panels


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
