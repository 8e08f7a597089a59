"""Small, medium and large objects apart, and precision where most objects are found: COCO's definition."""

from __future__ import annotations

from frostline.analysis.evidence import Evidence
from frostline.analysis.matching import AREAS
from frostline.analysis.scoring import SOURCES
from frostline.report.dots import Dots, Row, dots_figure, dots_interactive, dots_note, drawn_arms
from frostline.report.estimates import estimate_columns, estimates_frame, interval_note, measure
from frostline.report.model import Chart, Column, Table

_SIZES = {"small": "up to 32 × 32 pixels", "medium": "to 96 × 96 pixels", "large": "from 96 × 96 pixels"}
PRECISION = "coco/precision_at_recall_0.6"


def truths_by_size(evidence: Evidence) -> dict[str, int]:
    """Count the true objects of each of COCO's sizes, in the first panel; one at a bound counts for both sides.

    Returns:
        By size; empty where no run has predictions.
    """
    for panel in evidence.panels:
        matches = next(iter(next(iter(panel.scorers.values())).values())).coco
        return {area: int(matches.truths[AREAS.index(area)].sum()) for area in AREAS[1:]}
    return {}


def size_charts(evidence: Evidence) -> list[Chart]:
    """Draw AP by size of the object and precision at recall 0.6; nothing where no run has predictions."""
    counts = truths_by_size(evidence)
    sizes = [
        Dots(f"coco/AP_{size}", f"{size} ({counts.get(size, 0):,})", f"AP in %, {area}", 100.0, (0, 100))
        for size, area in _SIZES.items()
    ]
    rows = (Row((*sizes, Dots(PRECISION, "all sizes", "precision in % at recall 0.6", 100.0, (0, 100)))),)
    found = measure(evidence, (dots.metric for dots in rows[0].panels))
    arms = drawn_arms(found, rows)
    if not arms:
        return []
    caption = (
        "AP over IoU 0.50 to 0.95, mean over classes; in brackets: number of true objects of that size. "
        f"Precision at recall 0.6 is at IoU 0.50. Each panel has its own scale. Source: "
        f"{SOURCES['coco']}; sizes in pixels of the image files. {interval_note(evidence, arms)}"
    )
    return [
        Chart(
            "sizes",
            "objects",
            "Small, medium and large objects",
            f"{caption} {dots_note(found)}",
            lambda: dots_figure(found, rows, evidence.arms, evidence.baseline),
            lambda: dots_interactive(found, rows, evidence.arms),
        )
    ]


def size_tables(evidence: Evidence) -> list[Table]:
    """List AP by size of the object and precision at recall 0.6, by arm, with changes against the baseline."""
    metrics = {f"AP_{size}": f"coco/AP_{size}" for size in _SIZES} | {"precision_at_recall_0.6": PRECISION}
    found = measure(evidence, metrics.values())
    if not found:
        return []
    frame = estimates_frame(found, metrics)
    counts = truths_by_size(evidence)
    columns = [Column("arm", "arm"), Column("seeds", "seeds", "count")]
    for key, metric in metrics.items():
        header = "precision at recall 0.6" if metric == PRECISION else f"AP {key[3:]}"
        columns += estimate_columns(key, header, metric, "percent", frame)
    told = ", ".join(f"{counts[size]:,} {size} ({area})" for size, area in _SIZES.items())
    note = f"True objects: {told}. Undefined, so empty, where there is none. {interval_note(evidence)}"
    return [Table("sizes", "Small, medium and large objects", frame, tuple(columns), "objects", note)]
