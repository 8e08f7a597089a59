"""AP of each class and arm, in Ultralytics' definition, and how far it is from the baseline's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import polars as pl

from frostline.analysis.evidence import Evidence
from frostline.analysis.panels import Panel
from frostline.analysis.scoring import SOURCES
from frostline.report.classheat import Heat, heat_figure
from frostline.report.estimates import Found, interval_note, measure
from frostline.report.model import Chart, Column, Table

AVERAGES: Mapping[str, str] = {"AP50": "ultralytics/AP50/", "AP50-95": "ultralytics/AP/"}
"""What metrics of single classes begin with, by their name for people."""
_SOURCE = SOURCES["ultralytics"]
_SCHEMA = {
    "metric": pl.String, "class": pl.String, "truths": pl.Int64, "arm": pl.String, "seeds": pl.Int64,
    "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "change": pl.Float64,
    "change_low": pl.Float64, "change_high": pl.Float64,
}  # fmt: skip
_UNADJUSTED = "Intervals are for one class and arm each: of twenty without a difference, one leaves 0 out by chance."


def class_truths(panel: Panel) -> dict[str, int]:
    """Count the true objects of each class of a panel."""
    matches = next(iter(next(iter(panel.scorers.values())).values())).ultralytics
    return dict(zip(panel.classes, matches.truths[0].sum(axis=1).tolist(), strict=True))


def class_frame(evidence: Evidence) -> pl.DataFrame:
    """Measure every class: a row for each metric, class and arm, in that order.

    Args:
        evidence: the runs.

    Returns:
        `metric` (AP50, AP50-95), `class`, `truths`, `arm`, `seeds`, `value` with `low` and `high`, and `change` against
        the baseline with its interval; shares in [0, 1], null where undefined.
    """
    rows = []
    for panel in evidence.panels:
        truths = class_truths(panel)
        for name, prefix in AVERAGES.items():
            found = _measured(evidence, panel, prefix)
            for each in panel.classes:
                for arm in (arm for arm in evidence.arms if arm in panel.scorers):
                    one = found[arm, prefix + each]
                    rows.append(
                        (name, each, truths[each], arm, one.seeds, one.value, one.low, one.high, one.change,
                         one.change_low, one.change_high)
                    )  # fmt: skip
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _measured(evidence: Evidence, panel: Panel, prefix: str) -> Found:
    found = measure(evidence, [prefix + name for name in panel.classes])
    return {key: one for key, one in found.items() if key[0] in panel.scorers}


def class_charts(evidence: Evidence) -> list[Chart]:
    """Draw the change of each class and arm against the baseline; the values where there is no baseline."""
    charts = []
    for number, panel in enumerate(evidence.panels):
        for metric, prefix in AVERAGES.items():
            heat = _heat(evidence, panel, metric, prefix)
            if heat is None:
                continue
            end = "" if number == 0 else f"_{number + 1}"
            what = f"{metric} by class" + ("" if heat.baseline is None else f", compared with {heat.baseline}")
            charts.append(
                Chart(
                    f"class_{metric}{end}", "classes", what, _caption(evidence, heat),
                    partial(heat_figure, heat),
                )
            )  # fmt: skip
    return charts


def _heat(evidence: Evidence, panel: Panel, metric: str, prefix: str) -> Heat | None:
    """Put together what is drawn; None where no class has a value."""
    found = {(arm, name[len(prefix) :]): one for (arm, name), one in _measured(evidence, panel, prefix).items()}
    if all(one.value is None for one in found.values()):
        return None
    arms = list(dict.fromkeys(arm for arm, _ in found))
    changes = evidence.baseline in arms and len(arms) > 1
    return Heat(metric, tuple(arms), panel.classes, class_truths(panel), found, evidence.baseline if changes else None)


def _caption(evidence: Evidence, heat: Heat) -> str:
    source = f"Mean over seeds. Source: {_SOURCE}. {interval_note(evidence, heat.arms)}"
    if heat.baseline is None:
        return f"{heat.metric} in %; in brackets: number of true objects. Grey: undefined. {source}"
    return (
        f"{heat.metric} of each class less that of {heat.baseline} (its own value stands beside it, in %), in points. "
        f"Bold: the interval of the difference leaves 0 out. In brackets: number of true objects. Grey: undefined. "
        f"{source} {_UNADJUSTED}"
    )


def class_tables(evidence: Evidence) -> list[Table]:
    """List AP by class and arm: a wide table of each metric to read, and one of all numbers for machines."""
    frame = class_frame(evidence)
    if frame.is_empty():
        return []
    tables = [_wide(evidence, frame, metric) for metric in AVERAGES]
    columns = [
        Column("metric", "metric"),
        Column("class", "class"),
        Column("truths", "true objects", "count"),
        Column("arm", "arm"),
        Column("seeds", "seeds", "count"),
        Column("value", "AP", "percent", "low", "high", _SOURCE),
    ]
    if frame.get_column("change").null_count() < frame.height:
        columns.append(Column("change", "change to the baseline", "points", "change_low", "change_high", _SOURCE))
    note = f"{interval_note(evidence)} {_UNADJUSTED}"
    tables.append(
        Table("classes", "AP by class and arm, all numbers", frame, tuple(columns), "classes", note, on_page=False)
    )
    return tables


def _wide(evidence: Evidence, frame: pl.DataFrame, metric: str) -> Table:
    """Give a row a class and a column an arm: the baseline's value, and what the others change."""
    rows = frame.filter(pl.col("metric") == metric)
    wide = rows.select("class", "truths").unique(maintain_order=True)
    columns = [Column("class", "class"), Column("truths", "true objects", "count")]
    for number, arm in enumerate(evidence.arms):
        of_arm = rows.filter(pl.col("arm") == arm)
        if of_arm.is_empty():
            continue
        changes = of_arm.get_column("change").null_count() < of_arm.height
        start, kind = ("change", "points") if changes else ("value", "percent")
        ends = ("change", "change_low", "change_high") if changes else ("value", "low", "high")
        keys = [f"arm{number}_{end}" for end in ends]
        part = of_arm.select("class", "truths", *(pl.col(e).alias(k) for e, k in zip(ends, keys, strict=True)))
        wide = wide.join(part, on=["class", "truths"], how="left", maintain_order="left")
        header = f"{arm}, change" if start == "change" else arm
        columns.append(Column(keys[0], header, kind, keys[1], keys[2], _SOURCE))  # type: ignore[arg-type]
    note = f"{metric} in Ultralytics' definition, mean over seeds. {interval_note(evidence)} {_UNADJUSTED}"
    return Table(f"class_{metric}", f"{metric} by class", wide, tuple(columns), "classes", note)
