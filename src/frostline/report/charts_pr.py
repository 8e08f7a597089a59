"""Precision against recall of all arms over one another, and at which recalls an arm overtakes the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from frostline.analysis.ap import mean_over_classes
from frostline.analysis.evidence import Evidence
from frostline.analysis.recall_curves import Side, crossings, recall_curves
from frostline.report.canvas import shortened
from frostline.report.chartparts import listed, shown_arms, styled
from frostline.report.curve_panels import MEAN, CurveSet, draw_panels, interactive_panels, most_frequent
from frostline.report.model import Chart, Column, Table
from frostline.report.palette import arm_styles

LEAST_LEAD = 0.01
_MARKERS = (
    "Markers in the large panel, with their recall: where an arm overtakes the baseline or falls behind it by a point "
    "of precision or more; the table names them, and those of the classes."
)


@dataclass(frozen=True)
class PrecisionRecall:
    """The curves of a figure, and what stands beside it.

    Attributes:
        curves: mean over seeds.
        ap: mean over classes and seeds of AP at IoU 0.50, by arm: the area under the drawn mean.
        notes: sentences for captions.
    """

    curves: CurveSet
    ap: Mapping[str, float]
    notes: str


def precision_recall(evidence: Evidence) -> PrecisionRecall | None:
    """Compute the curves of the arms that were validated on the same images as the baseline; None without any."""
    if not evidence.panels:
        return None
    panel = evidence.panels[0]
    arms, cut = shown_arms(list(panel.scorers), evidence.baseline)
    truths, fewer = most_frequent(panel)
    if not truths:
        return None
    x: NDArray[np.float64] = np.zeros(0)
    mean: dict[str, NDArray[np.float64]] = {}
    by_class: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in truths}
    for arm in arms:
        found = [recall_curves(scorer.coco) for scorer in panel.scorers[arm].values()]
        x = found[0].recall
        table = np.mean([curves.precision for curves in found], axis=0)
        mean[arm] = mean_over_classes(table.T)
        for name in truths:
            by_class[name][arm] = table[panel.classes.index(name)]
    marked: dict[str, dict[str, list[tuple[float, float, str]]]] = {}
    if evidence.baseline in mean:
        for name, curves in {MEAN: mean, **by_class}.items():
            marked[name] = _marked(x, curves, str(evidence.baseline))
    elsewhere = [arm for arm in evidence.arms if arm not in panel.scorers]
    notes = (
        f" Not drawn, as validated on other images or without predictions: {listed(elsewhere)}." if elsewhere else ""
    )
    ap = {arm: float(values.mean()) for arm, values in mean.items()}
    return PrecisionRecall(CurveSet(x, mean, by_class, truths, marked, named=True), ap, fewer + notes + cut)


def _marked(
    x: NDArray[np.float64], curves: Mapping[str, NDArray[np.float64]], baseline: str
) -> dict[str, list[tuple[float, float, str]]]:
    """Find where each arm crosses the baseline, for points on its curve."""
    found: dict[str, list[tuple[float, float, str]]] = {}
    for arm, values in curves.items():
        _, points = crossings(x, values, curves[baseline], LEAST_LEAD) if arm != baseline else (None, [])
        if points:
            found[arm] = [
                (p.recall, float(np.interp(p.recall, x, values)), f"{_event(p.side)} at recall {p.recall:.2f}")
                for p in points
            ]
    return found


def _event(side: Side) -> str:
    return "overtakes the baseline" if side == "above" else "falls behind the baseline"


def pr_charts(evidence: Evidence) -> list[Chart]:
    """Make the overlay of precision-recall curves."""
    found = precision_recall(evidence)
    if found is None:
        return []
    styles = arm_styles(evidence.arms)
    labels = {arm: f"{shortened(arm)}  {100 * ap:.1f}" for arm, ap in found.ap.items()}
    names = ("recall", "precision")
    caption = (
        "Precision against recall at IoU 0.50 in COCO's definition (best precision at this recall or above, at 101 "
        "recalls), mean over seeds. Beside the names: mAP50 in COCO's definition, the area under the large panel's "
        "curve. " + (_MARKERS if evidence.baseline in found.ap else "") + found.notes
    )
    return [
        Chart(
            name="pr_curves",
            section="curves",
            title="Precision against recall",
            caption=caption,
            draw=styled(partial(draw_panels, found.curves, styles, labels, names, evidence.baseline)),
            interactive=partial(
                interactive_panels, found.curves, styles, names, lambda _: "recall %{x:.2f}: precision %{y:.3f}"
            ),
        )
    ]


def pr_tables(evidence: Evidence) -> list[Table]:
    """Make the table of crossings with the baseline: all arms for the mean over classes, and the classes that cross."""
    found = precision_recall(evidence)
    if found is None or evidence.baseline not in found.ap:
        return []
    curves, rows = found.curves, []
    for name, of_panel in curves.panels.items():
        for arm, values in of_panel.items():
            if arm == evidence.baseline:
                continue
            apart = values - of_panel[str(evidence.baseline)]
            side, points = crossings(curves.x, values, of_panel[str(evidence.baseline)], LEAST_LEAD)
            if not points and name == MEAN:
                lead = float(apart[np.abs(apart).argmax()])
                event = "never a point apart" if side is None else f"{side} throughout"
                rows.append({"class": name, "arm": arm, "event": event, "recall": None, "lead": lead})
            rows += [
                {"class": name, "arm": arm, "event": _event(p.side), "recall": p.recall, "lead": p.lead} for p in points
            ]
    schema = {"class": pl.String, "arm": pl.String, "event": pl.String, "recall": pl.Float64, "lead": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema)
    if frame.is_empty():
        return []
    source = "COCO's definition at IoU 0.50, from predictions.parquet, mean over seeds"
    columns = (
        Column("class", "class"),
        Column("arm", "arm"),
        Column("event", "against the baseline"),
        Column("recall", "at recall, %", "percent", source=source),
        Column("lead", "largest lead from there", "points", source=source),
    )
    note = (
        "Precision-recall curves of each arm against the baseline's. A lead counts once it has been a point of "
        "precision; crossings have no interval, and those of a class with few objects may be chance." + found.notes
    )
    return [Table("pr_crossings", "Where precision-recall curves cross", frame, columns, "curves", note)]
