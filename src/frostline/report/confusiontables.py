"""What confusion matrices come down to, in tables and as dots: sums with intervals, pairs, and all counts."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from frostline.analysis.evidence import Evidence
from frostline.analysis.scoring import SOURCES
from frostline.report.confusing import arm_confusions, mean_shares
from frostline.report.dots import Dots, Row, dots_figure, dots_note, drawn_arms
from frostline.report.estimates import estimate_columns, estimates_frame, interval_note, measure
from frostline.report.model import Chart, Column, Kind, Table

_SOURCE = SOURCES["confusion"]
_PAIRS = 5  # an arm
_RATES: tuple[tuple[str, str, Kind], ...] = (
    ("off_diagonal_mass", "found objects of a wrong class", "percent"),
    ("background_false_negatives", "objects that nothing found", "percent"),
    ("background_false_positives", "detections on background an image", "number"),
)
_ROWS = (
    Row(
        (
            Dots("confusion/off_diagonal_mass", "Given a wrong class", "% of the objects found", 100.0, (0, 100)),
            Dots("confusion/background_false_negatives", "Missed", "% of all objects", 100.0, (0, 100)),
            Dots("confusion/background_false_positives", "Detections on background", "an image", limits=(0, math.inf)),
        )
    ),
)


def confusion_rate_charts(evidence: Evidence) -> list[Chart]:
    """Draw off-diagonal mass, missed objects and detections on background of every arm, with intervals."""
    found = measure(evidence, (dots.metric for row in _ROWS for dots in row.panels))
    arms = drawn_arms(found, _ROWS)
    if not arms:
        return []
    caption = f"Mean over seeds. Source: {_SOURCE}. {interval_note(evidence, arms)}"
    return [
        Chart(
            "confusion_rates",
            "errors",
            "Wrong classes, missed objects and detections on background",
            f"{caption} {dots_note(found)}",
            lambda: dots_figure(found, _ROWS, evidence.arms, evidence.baseline),
        )
    ]


def confusion_tables(evidence: Evidence) -> list[Table]:
    """List rates of confusion by arm, the pairs most often confused, and all counts; nothing without predictions."""
    if not evidence.panels:
        return []
    tables = [_rates(evidence), _pairs(evidence), confusion_counts(evidence)]
    return [table for table in tables if not table.frame.is_empty()]


def _rates(evidence: Evidence) -> Table:
    metrics = {key: f"confusion/{key}" for key, *_ in _RATES}
    frame = estimates_frame(measure(evidence, metrics.values()), metrics)
    columns = [Column("arm", "arm"), Column("seeds", "seeds", "count")]
    for key, header, kind in _RATES:
        columns += estimate_columns(key, header, metrics[key], kind, frame)
    note = (
        f"Off-diagonal mass is the share of the objects found that were given a wrong class. {interval_note(evidence)}"
    )
    return Table("confusion_rates", "Confusion, mean over seeds", frame, tuple(columns), "errors", note)


def _pairs(evidence: Evidence) -> Table:
    rows = []
    for panel in evidence.panels:
        arms = arm_confusions(evidence, panel)
        shares = {arm: mean_shares(matrices) for arm, matrices in arms.items()}
        base = shares.get(evidence.baseline or "")
        for arm, matrices in arms.items():
            counts = np.mean([each.matrix for each in matrices], axis=0)
            found = [
                (float(counts[p, t]), float(shares[arm][p, t]), t, p)
                for t in range(len(panel.classes))
                for p in range(len(panel.classes))
                if p != t and counts[p, t] > 0
            ]
            for count, share, true, predicted in sorted(found, key=lambda one: (-one[0], -one[1], *one[2:]))[:_PAIRS]:
                change = share - float(base[predicted, true]) if base is not None and arm != evidence.baseline else None
                rows.append((arm, panel.classes[true], panel.classes[predicted], count, share, change))
    schema = {
        "arm": pl.String, "true": pl.String, "predicted": pl.String, "count": pl.Float64, "share": pl.Float64,
        "share_change": pl.Float64,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    columns = [
        Column("arm", "arm"),
        Column("true", "true class"),
        Column("predicted", "taken for"),
        Column("count", "times a run", "number", source=_SOURCE),
        Column("share", "of the true class", "percent", source=_SOURCE),
    ]
    if frame.get_column("share_change").null_count() < frame.height:
        columns.append(Column("share_change", "change to the baseline", "points", source=_SOURCE))
    note = f"At most {_PAIRS} pairs an arm, mean over seeds. Single pairs have no interval."
    return Table("confused_pairs", "Classes most often confused", frame, tuple(columns), "errors", note)


def confusion_counts(evidence: Evidence) -> Table:
    """List the counts of every run's confusion matrix; pairs of classes that never occurred have no row."""
    parts = []
    for panel in evidence.panels:
        for arm in (arm for arm in evidence.arms if arm in panel.scorers):
            for seed, scorer in panel.scorers[arm].items():
                matrix, names = scorer.confusion.matrix, scorer.confusion.names
                predicted, true = matrix.nonzero()
                parts.append(
                    pl.DataFrame(
                        {
                            "true": [names[t] for t in true.tolist()],
                            "predicted": [names[p] for p in predicted.tolist()],
                            "count": matrix[predicted, true],
                        },
                        schema={"true": pl.String, "predicted": pl.String, "count": pl.Int64},
                    ).select(pl.lit(arm).alias("arm"), pl.lit(seed, pl.Int64).alias("seed"), pl.all())
                )
    columns = (
        Column("arm", "arm"),
        Column("seed", "seed", "count"),
        Column("true", "true class"),
        Column("predicted", "taken for"),
        Column("count", "count", "count", source=_SOURCE),
    )
    note = "background as the class taken for: nothing found the object. As the true class: there was nothing."
    return Table(
        "confusion_counts", "Confusion of every run, counts", pl.concat(parts), columns, "errors", note, on_page=False
    )
