"""Evidence: finished runs brought together so that they can be compared, and what could not be, with the reason.

Arms are compared in a panel: on the same validation images, with the same classes, the same ground truth and the same
settings of the evaluation. A run that does not fit, is not finished, or has no predictions is named and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.analysis.comparing import Comparison, compare_runs
from frostline.analysis.intervals import Method
from frostline.analysis.panels import Advance, LeftOut, Panel, grouped, make_panels, read_runs, readable
from frostline.analysis.runs import RunFolder
from frostline.errors import InputError, did_you_mean
from frostline.files import read_yaml

DRAWS = 1000
STUDY_FILE = "study.yaml"
BASELINE = "baseline"


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
    runs, broken = readable(runs)
    counted = [run for run in runs if run.counts or include_unfinished]
    arms = tuple(dict.fromkeys(run.arm for run in counted))
    chosen = baseline_of(baseline, counted)
    left_out = [*broken, *(LeftOut(run, _unfinished(run)) for run in runs if run not in counted)]
    read, unread = read_runs(counted, advance)
    left_out += unread
    groups, odd = grouped(read, chosen)
    left_out += odd
    panels = tuple(make_panels(groups, draws, method == "bca", advance))
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
