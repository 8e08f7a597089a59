"""`frostline data scenes`: rendered streets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def scenes(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    *,
    images: Annotated[int, typer.Option(help="How many, train and val together.", min=2)] = 120,
    seed: Annotated[int, typer.Option(help="The same seed, the same pixels.", min=0)] = 0,
    size: Annotated[str, typer.Option(help="Width and height in pixels.", metavar="WxH")] = "480x320",
    val_fraction: Annotated[float, typer.Option(help="Share of the images that validate.")] = 0.2,
    workers: Annotated[int | None, typer.Option(help="Processes; without it one a core.", min=1)] = None,
) -> None:
    """Render streets with cars, cyclists, pedestrians, trams and lorries in sun and shadow.

    Writes the same scenes as a linear 16-bit and as an sRGB dataset, with shadow masks and the true illuminant
    direction of every image.

    Example: frostline data scenes scenes --images 120 --seed 0
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from frostline.datasets.scenes import render_scenes

    errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("scenes", total=images)
        summary = render_scenes(
            out,
            images,
            seed,
            parse_size(size),
            val_fraction,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    split = ", ".join(f"{count} {name}" for name, count in summary.images.items())
    boxes = ", ".join(f"{name} {count}" for name, count in summary.boxes.items())
    console.print(f"images: {split}; boxes: {boxes}", markup=False)
    console.print(f"wrote {summary.linear}, {summary.srgb}, {summary.isd}", markup=False)


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """Read `WIDTHxHEIGHT`.

    Raises:
        InputError: if it is not two whole numbers with an x between them.
    """
    from frostline.errors import InputError

    width, _, height = text.lower().partition("x")
    if not (width.strip().isdecimal() and height.strip().isdecimal()):
        raise InputError(f"{option} {text}: expected width and height in pixels, such as 480x320")
    return int(width), int(height)
