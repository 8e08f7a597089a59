"""F1 against confidence of all arms over one another, with their peaks, and the table of the best F1 by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from frostline.analysis import ConfidenceCurves, confidence_curves
from frostline.analysis.evidence import Evidence
from frostline.analysis.panels import Panel
from frostline.report.canvas import shortened
from frostline.report.chartparts import listed, shown_arms, styled
from frostline.report.curve_panels import MEAN, CurveSet, draw_panels, interactive_panels, most_frequent
from frostline.report.model import Chart, Column, Table
from frostline.report.palette import arm_styles

_MOST_POINTS = 250
_Curves = Mapping[str, Sequence[ConfidenceCurves]]


def f1_report(evidence: Evidence) -> tuple[list[Chart], list[Table]]:
    """Make the overlay of F1-confidence curves and the table of F1 by class and arm; both from the same curves."""
    if not evidence.panels:
        return [], []
    panel = evidence.panels[0]
    truths, fewer = most_frequent(panel)
    if not truths:
        return [], []
    arms, cut = shown_arms(list(panel.scorers), evidence.baseline)
    curves = {
        arm: [confidence_curves(scorer.ultralytics) for scorer in seeds.values()]
        for arm, seeds in panel.scorers.items()
    }
    drawn = {arm: curves[arm] for arm in arms}
    elsewhere = [arm for arm in evidence.arms if arm not in panel.scorers]
    notes = f" Left out, as validated on other images or without predictions: {listed(elsewhere)}." if elsewhere else ""
    return [_chart(evidence, drawn, truths, fewer + notes + cut)], [_table(panel, curves, notes)]


def f1_charts(evidence: Evidence) -> list[Chart]:
    """Make the overlay of F1-confidence curves."""
    return f1_report(evidence)[0]


def f1_tables(evidence: Evidence) -> list[Table]:
    """Make the table of F1 by class and arm."""
    return f1_report(evidence)[1]


def _chart(evidence: Evidence, curves: _Curves, truths: Mapping[str, int], notes: str) -> Chart:
    first = next(iter(curves.values()))[0]
    mean = {arm: np.mean([c.f1.mean(axis=0) for c in found], axis=0) for arm, found in curves.items()}
    by_class = {
        name: {arm: np.mean([c.f1[c.names.index(name)] for c in found], axis=0) for arm, found in curves.items()}
        for name in truths
    }
    peaks = {name: {arm: [_peak(first.confidence, values)] for arm, values in of_panel.items()}
             for name, of_panel in {MEAN: mean, **by_class}.items()}  # fmt: skip
    # A thousand thresholds are more than can be seen; peaks are marked from all of them.
    step = np.unique(np.linspace(0, len(first.confidence) - 1, _MOST_POINTS).round().astype(int))
    drawn = CurveSet(
        first.confidence[step],
        {arm: values[step] for arm, values in mean.items()},
        {name: {arm: values[step] for arm, values in of_panel.items()} for name, of_panel in by_class.items()},
        truths,
        peaks,
    )
    styles, names = arm_styles(evidence.arms), ("confidence threshold", "F1")
    labels = {arm: f"{shortened(arm)}  {y:.2f} at {x:.2f}" for arm, [(x, y, _)] in peaks[MEAN].items()}
    caption = (
        "F1 against the confidence threshold at IoU 0.50, Ultralytics' definition, mean over seeds. Markers: the "
        "peak of each curve; beside the names: peak F1 of the mean over classes, and its threshold. The table has "
        "the peaks of the single seeds, averaged." + notes
    )
    return Chart(
        name="f1_curves",
        section="curves",
        title="F1 against confidence",
        caption=caption,
        draw=styled(partial(draw_panels, drawn, styles, labels, names, evidence.baseline)),
        interactive=partial(
            interactive_panels, drawn, styles, names, lambda _: "confidence %{x:.2f}: F1 %{y:.3f}", 101
        ),
    )


def _peak(x: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float, str]:
    at = int(values.argmax())
    return float(x[at]), float(values[at]), f"peak F1 {values[at]:.3f} at confidence {x[at]:.2f}"


def _table(panel: Panel, curves: _Curves, notes: str) -> Table:
    rows = []
    for arm, found in curves.items():
        for name in found[0].names:
            rows.append(
                {
                    "class": name,
                    "arm": arm,
                    "f1": float(np.mean([c.best_f1_per_class[name] for c in found])),
                    "threshold": float(np.mean([c.best_threshold_per_class[name] for c in found])),
                    "seeds": len(found),
                }
            )
        rows.append(
            {
                "class": MEAN,
                "arm": arm,
                "f1": float(np.mean([c.mean_f1 for c in found])),
                "threshold": float(np.mean([c.best_threshold for c in found])),
                "seeds": len(found),
            }
        )
    order = {name: index for index, name in enumerate([MEAN, *panel.classes])}
    schema = {"class": pl.String, "arm": pl.String, "f1": pl.Float64, "threshold": pl.Float64, "seeds": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema)
    ranks = frame.get_column("class").replace_strict(order, return_dtype=pl.Int64)
    frame = frame.with_columns(ranks.alias("rank")).sort("rank", maintain_order=True).drop("rank")
    source = "Ultralytics' definition at IoU 0.50, from predictions.parquet, mean over seeds"
    columns = (
        Column("class", "class"),
        Column("arm", "arm"),
        Column("f1", "best F1", "percent", source=source),
        Column("threshold", "at confidence, %", "percent", source=source),
        Column("seeds", "seeds", "count"),
    )
    note = (
        "Best F1 of each class at its own threshold. The mean over classes is at the one threshold with the best "
        "smoothed mean, as Ultralytics reports it." + notes
    )
    return Table("f1_by_class", "Best F1 by class and arm", frame, columns, "curves", note)
