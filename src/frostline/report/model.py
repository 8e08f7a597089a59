"""What a report is made of: tables of numbers that say what they are, and charts that can be drawn when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["text", "count", "number", "signed", "percent", "points", "seconds", "bytes", "p"]
"""How a number is written: `percent` is 0.432 as 43.2, `points` a difference of 0.013 as +1.3, `signed` +1.3 as it is,
`bytes` in GiB, `p` a p-value or a probability."""

Section = Literal[
    "answer", "curves", "samples", "classes", "errors", "objects", "stages", "gradients", "cost", "shadows"
]


@dataclass(frozen=True)
class Column:
    """One column for people.

    Attributes:
        key: column of the table's frame.
        header: for people.
        kind: how its values are written.
        low, high: columns of the frame with its interval, or None.
        source: whose definition it is, and of what.
    """

    key: str
    header: str
    kind: Kind = "text"
    low: str | None = None
    high: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Table:
    """A table: all its numbers in a frame, and those of them that people look at.

    Attributes:
        name: of its files: `tables/<name>.csv`.
        title: for people.
        frame: the numbers in full; null where undefined.
        columns: shown, in this order.
        section: where it stands on the page.
        note: what a reader must know.
    """

    name: str
    title: str
    frame: pl.DataFrame
    columns: tuple[Column, ...]
    section: Section = "answer"
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart, drawn for print when it is asked for, and as plain data to hover over.

    Attributes:
        name: of its files: `figures/<name>.png`.
        section: where it stands on the page.
        title: for people.
        caption: what is drawn, whose metric, and what the interval is.
        draw: makes the figure for print.
        interactive: makes Plotly's JSON (`data`, `layout`); a trace of an arm has `meta: {"arm": name}`. None where
            hovering adds nothing.
    """

    name: str
    section: Section
    title: str
    caption: str
    draw: Callable[[], Figure]
    interactive: Callable[[], dict[str, Any]] | None = None
