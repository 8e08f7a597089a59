"""Where commands print their tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 140
"""Columns when the output goes to a file or a pipe, where nothing needs to be cut to a screen."""


def console() -> Console:
    """Return a console for standard output: as wide as the terminal, or wide enough in a pipe."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, emoji=False)


@contextmanager
def pure_stdout(wanted: bool) -> Iterator[None]:
    """Send what libraries print to standard error while the block works out what a command prints as JSON.

    Heavy libraries belong imported within it: Ultralytics takes hold of standard output when it is imported.

    Args:
        wanted: whether JSON is printed; otherwise nothing changes.
    """
    if not wanted:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def plain_table(*columns: str, left: frozenset[str] = frozenset()) -> Table:
    """Return a table without lines, numbers to the right.

    Args:
        columns: their titles.
        left: those that hold words.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    return table


def aligned(columns: Sequence[str], rows: Iterable[Sequence[Text]], left: frozenset[str] = frozenset()) -> Text:
    """Lay hundreds of rows out as `plain_table` would, a line each however narrow the terminal, in a tenth of its time.

    Args:
        columns: their titles.
        rows: a cell a column; changed, as they are padded.
        left: columns that hold words.
    """
    lines = [[Text(title, "bold") for title in columns], *rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        for title, cell, width in zip(columns, line, widths, strict=True):
            (cell.pad_right if title in left else cell.pad_left)(width - cell.cell_len)
    told = [Text("  ").join(line) for line in lines]
    for text in told:
        text.rstrip()
    return Text("\n").join(told)


def name_cell(name: object) -> Text:
    """Return a name of a stranger's as a cell: no markup is read in it, and no terminal obeys it."""
    return Text("".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in str(name)))


def show(table: Table | Text, *lines: Any) -> None:
    """Print a table, then lines of plain text."""
    out = console()
    out.print(table, soft_wrap=isinstance(table, Text))
    for line in lines:
        out.print(str(line), markup=False, soft_wrap=True)
