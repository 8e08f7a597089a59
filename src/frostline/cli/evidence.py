"""What commands that gather evidence share: their options, a progress bar, and a table in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from frostline.analysis.panels import Advance
    from frostline.report.model import Table


class MethodOption(str, Enum):
    """How intervals are made."""

    PERCENTILE = "percentile"
    BCA = "bca"


Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="ARM",
        help="The arm to compare with.",
        show_default="'baseline', else what freezes nothing",
    ),
]
Draws = Annotated[int, typer.Option("--draws", help="Draws of validation images for the bootstrap.", min=100)]
Confidence = Annotated[float, typer.Option("--confidence", help="Of all intervals, between 0 and 1.")]
MethodChoice = Annotated[MethodOption, typer.Option("--method", help="How intervals are made.")]
Unfinished = Annotated[
    bool, typer.Option("--include-unfinished", help="Let running, failed and interrupted runs count.")
]


@contextmanager
def progress() -> Iterator[Advance]:
    """Show a bar for each step on standard error, where that is a terminal."""
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from frostline.cli.bar import stderr

    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:

        def advance(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = shown.add_task(step, total=total)
            shown.update(tasks[step], completed=done, total=total)

        yield advance


def print_table(table: Table) -> None:
    """Print a table: as many of its columns as fit, the later ones left out first and named."""
    from rich.box import SIMPLE_HEAD
    from rich.measure import Measurement
    from rich.table import Table as RichTable
    from rich.text import Text

    from frostline.cli.console import console
    from frostline.report.tabular import cells, is_numeric

    out = console()
    rows = cells(table)
    shown = len(table.columns)
    while True:
        made = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
        for column in table.columns[:shown]:
            justify = "right" if is_numeric(column) else "left"
            made.add_column(
                Text(column.header.replace(" against ", "\nagainst "), justify=justify),  # type: ignore[arg-type]
                justify=justify,  # type: ignore[arg-type]
                vertical="top",
                overflow="fold",
                no_wrap=is_numeric(column),
            )
        for row in rows:
            made.add_row(*(Text(str(one).replace(" (", "\n(")) for one in row[:shown]))
        widest = Measurement.get(out, out.options.update(max_width=10_000), made).maximum
        if widest <= out.width or shown <= 2:
            break
        shown -= 1
    out.print(made)
    if shown < len(table.columns):
        left = ", ".join(column.header for column in table.columns[shown:])
        out.print(f"Not shown at this width: {left}.", style="dim", markup=False)
    if table.note:
        out.print(table.note, style="dim", markup=False)
