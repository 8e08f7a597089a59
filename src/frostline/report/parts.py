"""What a report is put together from: every builder of charts and tables, in the order in which people read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from frostline.analysis.depth import FrostLine
from frostline.analysis.evidence import Evidence
from frostline.report.charts_cost import cost_charts
from frostline.report.charts_depth import depth_charts
from frostline.report.charts_differences import difference_charts
from frostline.report.charts_f1 import f1_charts, f1_tables
from frostline.report.charts_learning import learning_charts
from frostline.report.charts_pr import pr_charts, pr_tables
from frostline.report.charts_stages import stage_charts
from frostline.report.charts_time import time_charts
from frostline.report.classes import class_charts, class_tables
from frostline.report.confusiongrid import confusion_charts
from frostline.report.confusiontables import confusion_rate_charts, confusion_tables
from frostline.report.gradients import gradient_charts
from frostline.report.mistakes import mistake_charts, mistake_tables
from frostline.report.model import Chart, Table
from frostline.report.occlusion import occlusion_charts, occlusion_tables
from frostline.report.scores import score_charts, score_tables
from frostline.report.shadows import shadow_charts, shadow_tables
from frostline.report.sizes import size_charts, size_tables

TABLES: tuple[Callable[[Evidence], Sequence[Table]], ...] = (
    class_tables,
    f1_tables,
    pr_tables,
    confusion_tables,
    score_tables,
    mistake_tables,
    size_tables,
    occlusion_tables,
    shadow_tables,
)

CHARTS: tuple[Callable[[Evidence], Sequence[Chart]], ...] = (
    difference_charts,
    time_charts,
    learning_charts,
    class_charts,
    pr_charts,
    f1_charts,
    confusion_charts,
    confusion_rate_charts,
    score_charts,
    mistake_charts,
    size_charts,
    occlusion_charts,
    shadow_charts,
    stage_charts,
    gradient_charts,
    cost_charts,
)


def charts(evidence: Evidence, line: FrostLine | None) -> list[Chart]:
    """Gather every chart that these runs have something for.

    Args:
        evidence: the runs.
        line: the frost line, to be marked.
    """
    made = depth_charts(evidence, line.depth if line is not None else None)
    for build in CHARTS:
        made += build(evidence)
    return made
