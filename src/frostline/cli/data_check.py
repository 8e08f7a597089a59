"""`frostline data check`: is this dataset fit to train on?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.bar import bar
from frostline.cli.console import pure_stdout
from frostline.cli.options import AllowOutside, Data

if TYPE_CHECKING:
    from rich.console import Console

    from frostline.datasets.quality import Report

_SHOWN = 3


def check(
    data: Data,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with every file concerned.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; without it one a core.", min=1)] = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Look at every image and label of a dataset, and say whether it is fit to train on.

    Unreadable images, wrong labels, images in two splits, boxes drawn twice, bits that are not used. Exit status 1 on
    errors, 0 on warnings alone.

    Example: frostline data check kitti/data.yaml
    """
    from frostline.datasets.quality import inspect_dataset

    with pure_stdout(json), bar("images") as progress:
        report = inspect_dataset(data, workers=workers, progress=progress)
    if json:
        from json import dumps

        typer.echo(dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        _show(report)
    if report.errors:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    from rich.console import Console

    from frostline.cli.tables import boxes_table

    console = Console(highlight=False, emoji=False, soft_wrap=True)
    console.print(boxes_table(report.boxes, report.images))
    totals = {size: sum(of[size] for of in report.box_sizes.values()) for size in ("small", "medium", "large")}
    console.print(f"box sizes (COCO areas): {', '.join(f'{count} {size}' for size, count in totals.items())}")
    sizes = list(report.sizes.items())
    more = f" and {len(sizes) - _SHOWN} other sizes" if len(sizes) > _SHOWN else ""
    console.print(f"image sizes: {', '.join(f'{count} of {size}' for size, count in sizes[:_SHOWN])}{more}")
    for one in report.pixels:
        channels = ", ".join(f"{count} with {number} channel(s)" for number, count in one.channels.items())
        console.print(
            f"{one.dtype}: {channels}; median {one.levels} levels, {one.stops:g} stops, "
            f"99.9th percentile at {one.share:.1%} of full scale"
        )
    for found in report.findings:
        _show_finding(console, found.level, found.message, found.where)
    console.print(f"verdict: {report.verdict}", markup=False, style="red" if report.errors else "green")


def _show_finding(console: Console, level: str, message: str, where: tuple[str, ...]) -> None:
    console.print(f"{level}: {message}", markup=False, style="red" if level == "error" else "yellow")
    for place in where[:_SHOWN]:
        console.print(f"  {place}", markup=False)
    if len(where) > _SHOWN:
        console.print(f"  and {len(where) - _SHOWN} more (--json lists all)", markup=False)
