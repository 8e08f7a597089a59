"""Tables for the terminal: the columns that fit, the most telling ones first to stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from frostline.analysis import METRICS, Comparison

_GIB = 2**30
_SUMMARY_HEADERS = {
    "epochs_to_90": "epochs\nto 90 %",
    "AP_small": "AP small",
    "AP50_small_classes": "AP50 small\nclasses",
}
_METRIC_HEADERS = {"mAP50-95": "mAP\n50-95", "precision": "preci-\nsion"}


@dataclass(frozen=True)
class _Column:
    """A column of the terminal's table; the one with the highest `rank` is the first to go when space is short."""

    name: str
    header: str
    write: Callable[[Any], str]
    rank: int


def runs_table(comparison: Comparison, metrics: Sequence[str], console: Console) -> tuple[Table, list[str]]:
    """Build the table of runs that fits the console.

    Args:
        comparison: the runs.
        metrics: those of `analysis.METRICS` that are shown whatever the width.
        console: where it will be printed; its width counts.

    Returns:
        The table, and the names of those columns that had to be left out and are not empty.
    """
    frame = comparison.frame
    columns = [column for column in _columns(comparison, metrics) if column.name in frame.columns]
    left_out: list[str] = []
    while True:
        table = _table([column.header for column in columns], console.width // 3)
        for row in frame.iter_rows(named=True):
            table.add_row(*(Text("" if row[c.name] is None else c.write(row[c.name])) for c in columns))
        spare = max(columns, key=lambda column: column.rank + 100 * (frame.get_column(column.name).count() == 0))
        if _fits(table, console) or spare.rank == 0:
            return table, [name for name in frame.columns if name in left_out and frame.get_column(name).count()]
        columns.remove(spare)
        left_out.append(spare.name)


def summary_table(comparison: Comparison, metrics: Sequence[str], console: Console) -> Table | None:
    """Build the table of arms, mean [lowest, highest] over their runs; None when no arm has two runs.

    Args:
        comparison: the runs.
        metrics: those of `analysis.METRICS` to show first; they and other columns as far as there is room.
        console: where it will be printed; its width counts.
    """
    summary = comparison.summary
    if summary.is_empty() or summary.get_column("n").max() == 1:
        return None
    shown = [*metrics, *(name for name in _SUMMARY_HEADERS if name in summary.get_column("metric"))]
    while True:
        table = _table(["arm", "runs", *(_SUMMARY_HEADERS.get(name, name) for name in shown)], console.width // 3)
        for arm in summary.get_column("arm").unique(maintain_order=True):
            rows = summary.filter(pl.col("arm") == arm)
            cells = [_spread(rows.filter(pl.col("metric") == name), name) for name in shown]
            table.add_row(Text(arm), str(rows.get_column("n").max()), *map(Text, cells))
        if _fits(table, console) or len(shown) == 1:
            return table
        shown.pop()


def _fits(table: Table, console: Console) -> bool:
    # Measured without a limit: within the console's width any table seems to fit.
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width


def _columns(comparison: Comparison, metrics: Sequence[str]) -> list[_Column]:
    frame = comparison.frame
    several_seeds = frame.get_column("seed").drop_nulls().n_unique() > 1
    unfinished = not all(run.counts for run in comparison.runs)
    small = [name for name in frame.columns if name.startswith("AP50/")]
    columns = [
        _Column("arm", "arm", str, 0),
        _Column("seed", "seed", str, 0 if several_seeds else 9),
        *([_Column("status", "status", str, 0)] if unfinished else []),
        _Column("freeze_depth", "freeze\ndepth", str, 1),
        *(_Column(name, _METRIC_HEADERS.get(name, name), _three, 0) for name in metrics),
        *(_Column(name, _METRIC_HEADERS.get(name, name), _three, 6) for name in METRICS if name not in metrics),
        _Column("best_epoch", "best\nepoch", str, 4),
        _Column("epochs_to_90", "epochs\nto 90 %", str, 2),
        _Column("overfitting_gap", "train -\nval gap", _signed, 3),
        _Column("AP_small", "AP\nsmall", _three, 2),
    ]
    if "AP50_small_classes" in frame.columns:
        columns.append(_Column("AP50_small_classes", "AP50 small\nclasses", _three, 2))
        asked = comparison.small_classes
        columns += [_Column(name, f"AP50\n{name[5:]}", _three, 7) for name in small if name[5:] in asked]
    columns += [
        _Column("epoch_seconds", "s per\nepoch", _seconds, 3),
        _Column("inference_ms", "ms per\nimage", _one, 8),
        _Column("peak_rss_bytes", "RAM\nGiB", _gib, 5),
    ]
    if frame.get_column("peak_cuda_bytes").count():
        columns.append(_Column("peak_cuda_bytes", "GPU\nGiB", _gib, 5))
    return columns


def _table(headers: Sequence[str], longest_arm: int) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    for header in headers:
        left = header in ("arm", "status")
        justify: Any = "left" if left else "right"
        # Folded, not cut: a long name stays whole, on several lines.
        table.add_column(
            Text(header, justify=justify),
            justify=justify,
            overflow="fold",
            no_wrap=not left,
            vertical="bottom",
            max_width=max(longest_arm, 12) if header == "arm" else None,
        )
    return table


def _spread(row: pl.DataFrame, name: str) -> str:
    if row.is_empty():
        return ""
    write = _one if name == "epochs_to_90" else _three
    mean, low, high = (write(row.item(0, key)) for key in ("mean", "min", "max"))
    return mean if row.item(0, "n") == 1 else f"{mean} [{low}, {high}]"


def _one(value: float) -> str:
    return f"{value:.1f}"


def _three(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _gib(value: float) -> str:
    return f"{value / _GIB:.2f}"
