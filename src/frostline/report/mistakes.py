"""The mistakes of each arm by kind, after TIDE: how many an image, and what mending each kind would gain."""

from __future__ import annotations

import math

from frostline.analysis.errors_tide import ERRORS
from frostline.analysis.evidence import Evidence
from frostline.analysis.scoring import SOURCES
from frostline.report.dots import Dots, Row, dots_figure, dots_interactive, dots_note, drawn_arms
from frostline.report.estimates import estimate_columns, estimates_frame, interval_note, measure
from frostline.report.model import Chart, Column, Table

_ROWS = (
    Row(tuple(Dots(f"tide/count/{kind}", kind, "mistakes an image", limits=(0, math.inf)) for kind in ERRORS)),
    Row(tuple(Dots(f"tide/gain/{kind}", kind, "mAP50 gained, points", 100.0) for kind in ERRORS), shared=True),
)
_KINDS = (
    "Kinds, for a detection that found nothing: classification (right place, wrong class), localisation (right class, "
    "IoU of 0.1 to 0.5), both, duplicate (a surer one had found that object), background (nothing there); and missed "
    "objects. Kinds are mended one at a time, so gains do not add up."
)


def mistake_charts(evidence: Evidence) -> list[Chart]:
    """Draw counts an image above gains in mAP50, a panel a kind; nothing where no run has predictions."""
    found = measure(evidence, (dots.metric for row in _ROWS for dots in row.panels))
    arms = drawn_arms(found, _ROWS)
    if not arms:
        return []
    caption = (
        f"Above: mistakes an image, of all detections that NMS let through; each kind has its own scale. Below: what "
        f"mAP50 would gain if that kind were mended, all on one scale. {_KINDS} Source: {SOURCES['tide']}. "
        f"{interval_note(evidence, arms)}"
    )
    return [
        Chart(
            "mistakes",
            "errors",
            "What kinds of mistakes each arm makes",
            f"{caption} {dots_note(found)}",
            lambda: dots_figure(found, _ROWS, evidence.arms, evidence.baseline),
            lambda: dots_interactive(found, _ROWS, evidence.arms),
        )
    ]


def mistake_tables(evidence: Evidence) -> list[Table]:
    """List counts an image and gains in mAP50 by kind: two tables of one row an arm."""
    parts = (
        ("count", "number", "mistakes_count", "Mistakes an image, by kind"),
        ("gain", "percent", "mistakes_gain", "Gain in mAP50 if a kind of mistakes were mended"),
    )
    tables = []
    for part, kind, name, title in parts:
        metrics = {error: f"tide/{part}/{error}" for error in ERRORS}
        found = measure(evidence, metrics.values())
        if not found:
            return []
        frame = estimates_frame(found, metrics)
        columns = [Column("arm", "arm"), Column("seeds", "seeds", "count")]
        for error, metric in metrics.items():
            columns += estimate_columns(error, error, metric, kind, frame)  # type: ignore[arg-type]
        note = f"{_KINDS} {interval_note(evidence)}"
        tables.append(Table(name, title, frame, tuple(columns), "errors", note))
    return tables
