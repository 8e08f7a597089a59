"""The three files of a comparison: the figure, and its numbers as CSV and JSON beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frostline.analysis import Comparison
from frostline.errors import InputError
from frostline.report.figures import draw_comparison

# With such a stem, the CSV or the JSON would replace a run's own file, or make the folder look like a run.
_TAKEN = frozenset({"results", "gradients", "run", "audit"})


def write_comparison(comparison: Comparison, metrics: Sequence[str], out: Path) -> tuple[Path, Path, Path]:
    """Draw a comparison and write its numbers beside the figure, each file whole or not at all.

    Args:
        comparison: the runs.
        metrics: of `analysis.METRICS`; a row of panels each.
        out: the figure: .png, .svg or .pdf. The other two have its name with .csv and .json.

    Returns:
        The paths of the figure, the CSV and the JSON file.

    Raises:
        InputError: a name that runs use for their own files, another suffix, an unknown metric.
    """
    if out.stem.lower() in _TAKEN:
        raise InputError(f"{out}: runs keep files called {out.stem}.csv or {out.stem}.json; choose another name")
    table, record = out.with_suffix(".csv"), out.with_suffix(".json")
    draw_comparison(comparison.runs, metrics, out)
    comparison.write_csv(table)
    comparison.write_json(record)
    return out, table, record
