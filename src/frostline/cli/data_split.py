"""`frostline data split`: images and labels to train, val and test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.bar import bar, stderr
from frostline.cli.data_convert import parse_classes

if TYPE_CHECKING:
    from rich.console import Console

    from frostline.datasets.split import SplitSummary


def split(
    images: Annotated[Path, typer.Argument(help="Folder of images.")],
    labels: Annotated[Path, typer.Argument(help="Folder of YOLO labels with the images' names.")],
    out: Annotated[Path, typer.Argument(help="Folder of the new dataset; made if missing.")],
    *,
    ratio: Annotated[
        str, typer.Option(help="Share to train on, or shares of train, val and test.", metavar="0.8|0.7,0.15,0.15")
    ] = "0.8",
    seed: Annotated[int, typer.Option(help="Picks the split: the same seed, the same split, on any machine.")] = 42,
    stratify: Annotated[
        bool, typer.Option("--stratify", help="Spread every class over the splits as evenly as images allow.")
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Images in whose names this regular expression finds the same stay together.", metavar="REGEX"
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Class names in the order of their ids; without it from classes.txt, obj.names, data.yaml."),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Make symbolic links to the images instead of copies.")] = False,
) -> None:
    """Split images and labels into train, val and, if asked for, test.

    Pairs only: an image without label or a label without image is named and left out: exit status 1.

    Example: frostline data split kitti-all/images kitti-all/labels kitti --ratio 0.8 --seed 42
    """
    from rich.console import Console

    from frostline.datasets.split import split_dataset
    from frostline.datasets.splitting import parse_ratio

    with bar("images") as progress:
        summary = split_dataset(
            images,
            labels,
            out,
            parse_ratio(ratio),
            seed,
            classes=parse_classes(classes),
            stratify=stratify,
            group_by=group_by,
            link=link,
            progress=progress,
        )
    _show(Console(highlight=False, emoji=False, soft_wrap=True), summary)
    errors = stderr()
    for problem in summary.problems:
        errors.print(problem, markup=False)
    if summary.problems:
        raise typer.Exit(1)


def _show(console: Console, summary: SplitSummary) -> None:
    from frostline.cli.tables import boxes_table

    console.print(boxes_table(summary.boxes, summary.images))
    if any(summary.empty.values()):
        empty = ", ".join(f"{count} {split}" for split, count in summary.empty.items())
        console.print(f"images without boxes: {empty}", markup=False)
    if summary.groups:
        console.print(f"groups kept together: {summary.groups}", markup=False)
    console.print(f"wrote {summary.yaml}", markup=False)
