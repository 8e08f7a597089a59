"""`frostline data`: datasets made and converted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.bar import bar, stderr
from frostline.cli.batch import Workers
from frostline.cli.data_check import check
from frostline.cli.data_convert import convert, parse_classes, parse_mapping
from frostline.cli.data_draw import draw
from frostline.cli.data_split import split
from frostline.cli.scenes import scenes
from frostline.cli.tables import boxes_table

if TYPE_CHECKING:
    from frostline.datasets.kitti import KittiSummary

app = typer.Typer(no_args_is_help=True)
app.command("scenes")(scenes)
app.command("convert")(convert)
app.command("split")(split)
app.command("check")(check)
app.command("draw")(draw)


@app.callback()
def data() -> None:
    """Make and convert datasets.

    Example: frostline data kitti KITTI/training datasets/kitti
    """


@app.command("kitti")
def kitti(
    src: Annotated[Path, typer.Argument(help="Folder with image_2/ and label_2/, or with training/ above them.")],
    out: Annotated[Path, typer.Argument(help="Folder of the new dataset; made if missing.")],
    *,
    ratio: Annotated[float, typer.Option(help="Share of the images to train on; the rest validates.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Picks the split: the same seed, the same split, on any machine.")] = 42,
    classes: Annotated[
        str, typer.Option(help="Class names in the order of their ids, joined by commas.")
    ] = "Car,Cyclist,Pedestrian,Tram,Truck",
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="TYPE=CLASS",
            help="Count a KITTI type as a class; repeat it or join by commas; 'none' for no mapping. "
            "Without it: Van=Car and Person_sitting=Pedestrian.",
        ),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Make symbolic links to the images instead of copies.")] = False,
    workers: Workers = None,
) -> None:
    """Convert KITTI's labels to a YOLO dataset with a seeded split into train and val.

    Images without labels, labels without an image and unreadable images are named and left out: exit status 1.

    A malformed label line stops the conversion before anything is written: exit status 2.

    Example: frostline data kitti KITTI/training datasets/kitti --ratio 0.8 --seed 42 --map Van=Car
    """
    from rich.console import Console

    from frostline.datasets.kitti import convert_kitti

    with bar("images") as progress:
        summary = convert_kitti(
            src,
            out,
            ratio,
            seed,
            parse_classes(classes) or [],
            mapping=parse_mapping(mapping),
            link=link,
            workers=workers,
            progress=progress,
        )
    errors = stderr()
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    console.print(boxes_table(summary.boxes, summary.images))
    console.print(_left_out(summary), markup=False)
    console.print(f"wrote {summary.yaml}", markup=False)
    for problem in summary.problems:
        errors.print(problem, markup=False)
    if summary.problems:
        raise typer.Exit(1)


def _left_out(summary: KittiSummary) -> str:
    types = ", ".join(f"{kind} {count}" for kind, count in summary.left_out.items()) or "nothing"
    unusable = f"; images and labels that cannot be used: {len(summary.problems)}" if summary.problems else ""
    return (
        f"left out: {types}; clipped to the image: {summary.clipped}; dropped without area: {summary.no_area}{unusable}"
    )
