"""`frostline data draw`: labels on their images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frostline.cli.bar import bar, stderr
from frostline.cli.options import AllowOutside, Data


def draw(
    data: Data,
    out: Annotated[Path, typer.Argument(help="Folder of the pictures; made if missing.")],
    *,
    split: Annotated[
        str | None, typer.Option(help="Draw only train, val or test.", metavar="SPLIT", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Images at most, spread evenly over the dataset.", min=1, show_default=False)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; without it one a core.", min=1)] = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Draw the labels of a dataset on its images, and a contact sheet.

    Images of more than 8 bits are tone-mapped. What cannot be drawn is named and left out: exit status 1.

    Example: frostline data draw kitti/data.yaml drawn --split val --limit 20
    """
    from rich.console import Console

    from frostline.datasets.draw import draw_dataset

    with bar("images") as progress:
        drawn = draw_dataset(data, out, split, limit, workers=workers, progress=progress)
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    console.print(f"images: {len(drawn.images)}; boxes: {drawn.boxes}", markup=False)
    console.print(f"wrote {out}, {drawn.sheet}", markup=False)
    errors = stderr()
    for problem in drawn.problems:
        errors.print(problem, markup=False)
    if drawn.problems:
        raise typer.Exit(1)
