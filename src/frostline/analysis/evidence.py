"""Evidence: finished runs brought together so that they can be compared, and what could not be, with the reason.

Arms are compared in a panel: on the same validation images, with the same classes, the same ground truth and the same
settings of the evaluation. A run that does not fit, is not finished, or has no predictions is named and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import polars as pl

from frostline.analysis.blocks import usable_cores
from frostline.analysis.bootstrap import Resamples, resample, work_of
from frostline.analysis.comparing import Comparison, compare_runs
from frostline.analysis.intervals import Method
from frostline.analysis.predictions import Predictions, PredictionSettings, read_predictions
from frostline.analysis.runs import RunFolder
from frostline.analysis.scoring import RunScorer
from frostline.errors import InputError, did_you_mean
from frostline.files import read_yaml

DRAWS = 1000
STUDY_FILE = "study.yaml"
PREDICTIONS = "predictions.parquet"
BASELINE = "baseline"

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


@dataclass(frozen=True)
class Evidence:
    """What finished runs can tell.

    Attributes:
        runs: every run that was found and whose files can be read, in order.
        arms: names of the arms with runs that count, in order.
        baseline: the arm that others are compared with; None where there is none.
        panels: arms that can be compared; the first is that of the baseline, or that with most arms.
        left_out: runs that take no part in the statistics.
        comparison: a row a run, as `compare` makes it.
        study: the study file where all runs are of one study, else empty.
        study_folder: its folder, or None.
        confidence: of all intervals, in (0, 1).
        method: of all intervals.
        draws: of images, for the bootstrap.
        include_unfinished: unfinished runs were asked to count.
    """

    runs: tuple[RunFolder, ...]
    arms: tuple[str, ...]
    baseline: str | None
    panels: tuple[Panel, ...]
    left_out: tuple[LeftOut, ...]
    comparison: Comparison
    study: Mapping[str, Any]
    study_folder: Path | None
    confidence: float
    method: Method
    draws: int
    include_unfinished: bool = False

    def counts(self, run: RunFolder) -> bool:
        """Whether a run's curves and final numbers count."""
        return run.counts or self.include_unfinished

    def runs_of(self, arm: str) -> tuple[RunFolder, ...]:
        """Return the runs of an arm that count, with predictions or without."""
        return tuple(run for run in self.runs if run.arm == arm and self.counts(run))

    def panel_of(self, arm: str) -> Panel | None:
        """Return the panel that an arm is compared in; None for an arm without predictions."""
        return next((panel for panel in self.panels if arm in panel.runs), None)

    def together(self, arm: str, other: str) -> Panel | None:
        """Return the panel in which two arms can be compared, or None."""
        panel = self.panel_of(arm)
        return panel if panel is not None and other in panel.runs else None


def label(run: RunFolder) -> str:
    """Name a run: its arm, and its seed where there is one."""
    return run.arm if run.seed is None else f"{run.arm}, seed {run.seed}"


def gather(
    runs: Sequence[RunFolder],
    *,
    baseline: str | None = None,
    draws: int = DRAWS,
    confidence: float = 0.95,
    method: Method = "percentile",
    include_unfinished: bool = False,
    advance: Advance = lambda *_: None,
) -> Evidence:
    """Bring runs together, and score those that can be compared on the same draws of images.

    Args:
        runs: what `find_runs` gives.
        baseline: the arm to compare with; by default the one called `baseline`, else the one that freezes nothing.
        draws: of images.
        confidence: of all intervals, in (0, 1).
        method: of all intervals; `bca` also leaves each image out once.
        include_unfinished: let runs count that are running, failed or interrupted.
        advance: see `Advance`.

    Raises:
        InputError: no runs, no such baseline, or a confidence, method or number of draws that is none.
    """
    if not runs:
        raise InputError("no runs to compare")
    if not 0 < confidence < 1:
        raise InputError(f"a confidence of {confidence:g} is outside of (0, 1)")
    if draws < 100:
        raise InputError(f"{draws} draws tell too little of an interval; take at least 100")
    runs, broken = _readable(runs)
    counted = [run for run in runs if run.counts or include_unfinished]
    arms = tuple(dict.fromkeys(run.arm for run in counted))
    chosen = baseline_of(baseline, counted)
    left_out = [*broken, *(LeftOut(run, _unfinished(run)) for run in runs if run not in counted)]
    read, unread = _read(counted, advance)
    left_out += unread
    groups, odd = _grouped(read, chosen)
    left_out += odd
    panels = tuple(_panels(groups, draws, method == "bca", advance))
    folder, study = study_of(runs)
    return Evidence(
        runs=tuple(runs),
        arms=arms,
        baseline=chosen,
        panels=panels,
        left_out=tuple(left_out),
        comparison=compare_runs(runs),
        study=study,
        study_folder=folder,
        confidence=confidence,
        method=method,
        draws=draws,
        include_unfinished=include_unfinished,
    )


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
class _Read:
    run: RunFolder
    scorer: RunScorer
    names: Mapping[str, str]
    settings: PredictionSettings

    def same(self, other: _Read) -> str | None:
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


def _readable(runs: Sequence[RunFolder]) -> tuple[list[RunFolder], list[LeftOut]]:
    """Take out runs whose record, curves or arguments are damaged: one of them is no reason to lose the others."""
    whole, broken = [], []
    for run in runs:
        try:
            _ = run.record, run.results, run.arguments
        except InputError as error:
            broken.append(LeftOut(run, str(error)))
        else:
            whole.append(run)
    if not whole:
        raise InputError(broken[0].reason)
    return whole, broken


def _read(runs: Sequence[RunFolder], advance: Advance) -> tuple[list[_Read], list[LeftOut]]:
    read: list[_Read] = []
    unread: list[LeftOut] = []
    with ThreadPoolExecutor(usable_cores()) as pool:  # matching lets go of the interpreter's lock
        for number, one in enumerate(pool.map(_opened, runs), 1):
            if isinstance(one, _Read):
                read.append(one)
            else:
                unread.append(one)
            advance("reading predictions", number, len(runs))
    return read, unread


def _opened(run: RunFolder) -> _Read | LeftOut:
    path = run.path / PREDICTIONS
    if not path.is_file():
        reason = f"no {PREDICTIONS}, so curves only; 'frostline evaluate {run.path}' makes one from its checkpoint"
        return LeftOut(run, reason)
    try:
        predictions, names = paired_by_stem(read_predictions(path))
        return _Read(run, RunScorer(predictions), names, predictions.settings)
    except InputError as error:
        return LeftOut(run, str(error))


def _grouped(read: Sequence[_Read], baseline: str | None) -> tuple[list[list[_Read]], list[LeftOut]]:
    """Sort runs into groups that can be compared, an arm in one group only: where most of its runs are."""
    groups: list[list[_Read]] = []
    for one in read:
        group = next((group for group in groups if one.same(group[0]) is None), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)

    def rank(group: list[_Read]) -> tuple[int, int]:
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


def _first_of(group: Sequence[_Read], arm: str) -> _Read:
    return next(one for one in group if one.run.arm == arm)


def _panels(groups: Sequence[Sequence[_Read]], draws: int, jackknife: bool, advance: Advance) -> list[Panel]:
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


def baseline_of(asked: str | None, runs: Sequence[RunFolder]) -> str | None:
    """Choose the arm that others are compared with: what was asked for, else the one called so or that freezes nothing.

    Raises:
        InputError: no run is of the arm that was asked for.
    """
    arms = tuple(dict.fromkeys(run.arm for run in runs))
    if asked is not None:
        if asked not in arms:
            raise InputError(f"no arm '{asked}'{did_you_mean(asked, arms)}; there are {', '.join(arms)}")
        return asked
    named = [arm for arm in arms if arm.rpartition("/")[2] == BASELINE]
    plain = [arm for arm in arms if all(run.freeze_depth == 0 for run in runs if run.arm == arm)]
    return (named + plain + [None])[0]  # type: ignore[list-item]


def _unfinished(run: RunFolder) -> str:
    reason = run.text("reason")
    if run.value("audit") == "FAIL":
        reason = "its audit failed"
    return f"{run.status}" + (f": {reason}" if reason else ", not finished")


def study_of(runs: Sequence[RunFolder]) -> tuple[Path | None, Mapping[str, Any]]:
    """Find the one study that all runs are of: a run lies in `<study>/<arm>/seed<k>` or `<study>/<arm>`."""
    found = {
        next((parent for parent in list(run.path.resolve().parents)[:3] if (parent / STUDY_FILE).is_file()), None)
        for run in runs
    }
    folder = found.pop() if len(found) == 1 else None
    if folder is None:
        return None, {}
    content = read_yaml(folder / STUDY_FILE, "the study's file")
    return folder, content if isinstance(content, dict) else {}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
