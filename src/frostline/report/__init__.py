"""What people look at: figures and tables of finished runs. Matplotlib is imported when the first figure is drawn."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Report": "frostline.report.build",
    "draw_comparison": "frostline.report.figures",
    "draw_estimate": "frostline.report.illuminant",
    "draw_gradients": "frostline.report.gradients",
    "draw_plan": "frostline.report.planchart",
    "draw_probe": "frostline.report.probechart",
    "runs_table": "frostline.report.tables",
    "summary_table": "frostline.report.tables",
    "write_comparison": "frostline.report.outputs",
}
__all__ = [
    "Report",
    "draw_comparison",
    "draw_estimate",
    "draw_gradients",
    "draw_plan",
    "draw_probe",
    "runs_table",
    "summary_table",
    "write_comparison",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'frostline.report' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)
