"""Recall by occlusion in the report, for datasets whose labels tell it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import polars as pl

from frostline.analysis.bootstrap import Resamples, Scorer, resample
from frostline.analysis.evidence import Evidence
from frostline.analysis.inference import estimate_arm, estimate_difference
from frostline.analysis.intervals import Estimate
from frostline.analysis.occlusion import (
    FIXED_CONF,
    OCCLUSIONS,
    ObjectTable,
    OcclusionScorer,
    find_table,
    read_table,
)
from frostline.analysis.panels import Panel
from frostline.report.model import Chart, Column, Table
from frostline.report.palette import arm_styles
from frostline.report.style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCE = "truths of all classes found at IoU 0.50, Ultralytics' matching, from predictions.parquet"
_AT_BEST, _AT_FIXED = "occlusion/recall", f"occlusion/recall_at_{FIXED_CONF:g}"


@dataclass(frozen=True)
class Occluded:
    """The arms of a panel, scored by occlusion.

    Attributes:
        arms: their names, in order.
        truths: number of truths of each level of `OCCLUSIONS`.
        unpaired: truths whose occlusion is not known.
        resamples: under the same draws of images as the panel's own.
        baseline: the arm to compare with, or None where it is in no or another panel.
    """

    arms: tuple[str, ...]
    truths: tuple[int, ...]
    unpaired: int
    resamples: Resamples
    baseline: str | None


def occluded(evidence: Evidence) -> list[Occluded]:
    """Score the panels whose datasets have a table of occlusion; arms whose dataset has none are left out."""
    found = []
    tables: dict[Any, ObjectTable] = {}
    for panel in evidence.panels:
        scorers = _scorers(panel, tables)
        if scorers:
            first = next(iter(next(iter(scorers.values())).values()))
            drawn: dict[str, dict[int | None, Scorer]] = {arm: dict(seeds) for arm, seeds in scorers.items()}
            resamples = resample(drawn, draws=evidence.draws, jackknife=evidence.method == "bca")
            truths = tuple(int(count) for count in first.truths)
            baseline = evidence.baseline if evidence.baseline in scorers else None
            found.append(Occluded(tuple(scorers), truths, first.unpaired, resamples, baseline))
    return found


def occlusion_tables(evidence: Evidence) -> list[Table]:
    """Build the table of recall by occlusion, a row an arm and level; nothing where labels do not tell."""
    rows = [row for panel in occluded(evidence) for row in _rows(panel, evidence)]
    if not rows:
        return []
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    columns = (
        Column("arm", "arm"),
        Column("occlusion", "occlusion"),
        Column("truths", "objects", "count", source="validation labels"),
        Column("recall", "recall", "percent", "recall_low", "recall_high", SOURCE),
        Column("difference", "against baseline", "points", "difference_low", "difference_high", SOURCE),
        Column("recall_fixed", f"recall at {FIXED_CONF:g}", "percent", "recall_fixed_low", "recall_fixed_high", SOURCE),
    )
    kept = tuple(one for one in columns if one.key != "difference" or frame.get_column("difference").count())
    return [Table("occlusion", "Recall by occlusion", frame, kept, "objects", _note(frame, evidence))]


def occlusion_charts(evidence: Evidence) -> list[Chart]:
    """Build a chart of recall by occlusion for each panel whose labels tell; else nothing."""
    charts = []
    for number, panel in enumerate(occluded(evidence)):
        rows = [row for row in _rows(panel, evidence) if row["recall"] is not None]
        if rows:
            frame = pl.DataFrame(rows, schema=_SCHEMA)
            charts.append(
                Chart(
                    name=f"occlusion{number + 1 if number else ''}",
                    section="objects",
                    title="How many objects are found, by how far they are hidden",
                    caption=f"Share of the objects of all classes that are found. {_note(frame, evidence)}",
                    draw=lambda frame=frame: _figure(frame, evidence),  # type: ignore[misc]
                    interactive=lambda frame=frame: _plotly(frame, evidence),  # type: ignore[misc]
                )
            )
    return charts


_SCHEMA = {
    "arm": pl.String,
    "level": pl.Int64,
    "occlusion": pl.String,
    "truths": pl.Int64,
    "unpaired": pl.Int64,
    **{
        f"{name}{end}": pl.Float64
        for name in ("recall", "difference", "recall_fixed", "difference_fixed")
        for end in ("", "_low", "_high")
    },
}


def _scorers(panel: Panel, tables: dict[Any, ObjectTable]) -> dict[str, dict[int | None, OcclusionScorer]]:
    scorers: dict[str, dict[int | None, OcclusionScorer]] = {}
    for arm, seeds in panel.runs.items():
        made: dict[int | None, OcclusionScorer] = {}
        for seed, run in seeds.items():
            path = find_table(run)
            if path is None:
                break
            if path not in tables:
                tables[path] = read_table(path)
            own = panel.scorers[arm][seed]
            made[seed] = OcclusionScorer(own.boxes, own.ultralytics, tables[path])
        if len(made) == len(seeds) and all(one.truths.sum() for one in made.values()):
            scorers[arm] = made
    return scorers


def _rows(panel: Occluded, evidence: Evidence) -> list[dict[str, Any]]:
    rows = []
    for arm in panel.arms:
        for level, name in enumerate(OCCLUSIONS):
            if not panel.truths[level]:
                continue
            row: dict[str, Any] = {"arm": arm, "level": level, "occlusion": name, "truths": panel.truths[level]}
            row["unpaired"] = panel.unpaired
            for metric, end in ((_AT_BEST, ""), (_AT_FIXED, "_fixed")):
                asked = (f"{metric}/{name}", arm)
                row |= _written(
                    f"recall{end}",
                    estimate_arm(panel.resamples, *asked, confidence=evidence.confidence, method=evidence.method),
                )
                against = panel.baseline
                row |= _written(
                    f"difference{end}",
                    None
                    if against is None or against == arm
                    else estimate_difference(panel.resamples, *asked, against, evidence.confidence, evidence.method),
                )
            rows.append(row)
    return rows


def _written(name: str, found: Estimate | None) -> dict[str, float | None]:
    values = (None, None, None) if found is None else (found.value, found.low, found.high)
    shown = [None if value is None or math.isnan(value) else value for value in values]
    if found is not None and name.startswith("recall"):  # the seeds' part of a draw knows no bounds
        shown = [None if value is None else min(max(value, 0.0), 1.0) for value in shown]
    return dict(zip((name, f"{name}_low", f"{name}_high"), shown, strict=True))


def _note(frame: pl.DataFrame, evidence: Evidence) -> str:
    unpaired, few = max(frame.get_column("unpaired").to_list()), min(frame.get_column("truths").to_list())
    words = [
        f"Source: {SOURCE}.",
        "Recall is at the confidence where each run's own mean F1 is best, chosen on all images.",
        f"Intervals: {100 * evidence.confidence:g} %, over images and, with several seeds, over seeds.",
        "Occlusion is KITTI's, from the labels.",
    ]
    if unpaired:
        words.append(f"{unpaired} objects are not in the table of occlusion and are left out.")
    if few < 30:
        words.append(f"A level has only {few} objects: take its recall as an anecdote.")
    return " ".join(words)


def _figure(frame: pl.DataFrame, evidence: Evidence) -> Figure:
    from matplotlib.figure import Figure

    levels = frame.unique("level", maintain_order=True).sort("level")
    arms = frame.get_column("arm").unique(maintain_order=True).to_list()
    places = {level: place for place, level in enumerate(levels.get_column("level"))}
    styles, step = arm_styles(evidence.arms), min(0.16, 0.76 / max(len(arms), 1))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(6.2, 1.6 + 0.16 * len(arms) * len(places)), 3.9), layout="constrained")
        axes = figure.add_subplot()
        for index, arm in enumerate(arms):
            style, rows = styles[arm], frame.filter(pl.col("arm") == arm)
            x = [places[level] + step * (index - (len(arms) - 1) / 2) for level in rows.get_column("level")]
            middle, low, high = (
                100 * rows.get_column(key).to_numpy() for key in ("recall", "recall_low", "recall_high")
            )
            axes.vlines(x, low, high, color=style.colour, linewidth=1.4)
            axes.plot(x, middle, style.marker, color=style.colour, markersize=5, label=arm)
        named = [
            f"{row['occlusion'].replace(' ', chr(10))}\n{row['truths']:,} object{'s' * (row['truths'] != 1)}"
            for row in levels.iter_rows(named=True)
        ]
        axes.set_xticks(list(places.values()), named)
        axes.set_xlim(-0.55, len(places) - 0.45)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("recall, %")
        axes.tick_params(axis="x", length=0)
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _plotly(frame: pl.DataFrame, evidence: Evidence) -> dict[str, Any]:
    styles = arm_styles(evidence.arms)
    data = []
    for arm in frame.get_column("arm").unique(maintain_order=True):
        rows = frame.filter(pl.col("arm") == arm)
        recall, low, high = (100 * rows.get_column(key) for key in ("recall", "recall_low", "recall_high"))
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": arm,
                "meta": {"arm": arm},
                "x": rows.get_column("occlusion").to_list(),
                "y": recall.to_list(),
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": (high - recall).to_list(),
                    "arrayminus": (recall - low).to_list(),
                },
                "marker": {"color": styles[arm].colour, "size": 9},
                "customdata": rows.get_column("truths").to_list(),
                "hovertemplate": "%{y:.1f} % of %{customdata} objects<extra>%{fullData.name}</extra>",
            }
        )
    return {
        "data": data,
        "layout": {"scattermode": "group", "yaxis": {"title": {"text": "recall, %"}, "rangemode": "tozero"}},
    }
