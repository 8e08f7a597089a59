"""A table as HTML: sortable by its raw values, its rows marked with their arm, its intervals drawn to one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from frostline.report.cells import Cell
from frostline.report.looks import ArmLook
from frostline.report.model import Column, Table
from frostline.report.tabular import as_csv, as_latex, as_markdown, cells, is_numeric
from frostline.report.templating import environment

_WIDTH = 84.0  # of a whisker's drawing, in pixels
_EDGE = 5.0  # so that the dot at an end is whole
_MOST_ROWS = 24  # a longer table shows its first ones until it is unfolded; page.css has how many


@dataclass(frozen=True)
class Whisker:
    """Where value and interval of a cell stand on the scale of its column, in pixels."""

    value: float
    low: float
    high: float
    reference: float | None
    open: bool  # the interval of a difference holds zero


def html_table(
    table: Table, looks: Mapping[str, ArmLook] | None = None, reference: str | None = None, *, whiskers: bool = False
) -> Markup:
    """Write a table for the page.

    Args:
        table: a column `arm` in its frame ties each row to the arm of that name.
        looks: the arms that have a sign; others are written without.
        reference: the arm that intervals are to be compared with, None without one.
        whiskers: draw intervals beside their numbers, with a line at the value of `reference`, or at zero in columns
            of differences.
    """
    rows = cells(table)
    arms = table.frame.get_column("arm").to_list() if "arm" in table.frame.columns else [None] * len(rows)
    at = arms.index(reference) if reference in arms else None
    scales = {index: _scale(table.columns[index], [row[index] for row in rows], at) for index in _drawn(table)}
    if not whiskers:
        scales = {}
    marks = [[scales[index](item) if index in scales else None for index, item in enumerate(row)] for row in rows]
    text = environment().get_template("table.html.j2").render(
        table=table,
        columns=[(column, is_numeric(column), index in scales) for index, column in enumerate(table.columns)],
        rows=[
            (looks.get(arm) if looks and arm is not None else None, arm, list(zip(row, drawn, strict=True)))
            for arm, row, drawn in zip(arms, rows, marks, strict=True)
        ],
        sources=[column for column in table.columns if column.source],
        copies={"CSV": as_csv(table), "Markdown": as_markdown(table), "LaTeX": as_latex(table)},
        whisker_width=_WIDTH,
        legend=bool(scales),
        folded=len(rows) > _MOST_ROWS,
        reference=reference,
    )  # fmt: skip
    return Markup(text)


def _drawn(table: Table) -> list[int]:
    """Choose the columns whose intervals are drawn: differences; levels too where that makes no more than three."""
    ranged = [index for index, column in enumerate(table.columns) if column.low is not None]
    some = [index for index in ranged if table.columns[index].kind in ("percent", "points")]
    return some if len(some) <= 3 else [index for index in some if table.columns[index].kind == "points"]


class _Scale:
    """Turns the numbers of one column into pixels, the same for all its rows."""

    def __init__(self, low: float, high: float, reference: float | None, *, differences: bool) -> None:
        self.low = low
        self.differences = differences
        self.step = (_WIDTH - 2 * _EDGE) / (high - low or 1.0)
        self.reference = None if reference is None else self.place(reference)

    def place(self, value: float) -> float:
        return round(_EDGE + (value - self.low) * self.step, 1)

    def __call__(self, item: Cell) -> Whisker | None:
        if item.low is None or item.high is None or not isinstance(item.value, int | float):
            return None
        open_ = self.differences and item.low <= 0 <= item.high
        return Whisker(self.place(item.value), self.place(item.low), self.place(item.high), self.reference, open_)


def _scale(column: Column, items: Sequence[Cell], reference: int | None) -> _Scale:
    """Span a column's intervals, and zero where it holds differences."""
    ends = [end for item in items for end in (item.low, item.high, item.value) if isinstance(end, int | float)]
    if column.kind == "points":
        return _Scale(min([*ends, 0.0]), max([*ends, 0.0]), 0.0, differences=True)
    at = None if reference is None else items[reference].value
    known = at if isinstance(at, int | float) else None
    return _Scale(min(ends, default=0.0), max(ends, default=1.0), known, differences=False)
