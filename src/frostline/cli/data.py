"""`frostline data`: datasets made and converted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.scenes import scenes

if TYPE_CHECKING:
    from rich.table import Table

    from frostline.datasets.kitti import KittiSummary

app = typer.Typer(no_args_is_help=True)
app.command("scenes")(scenes)


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
) -> None:
    """Convert KITTI's labels to a YOLO dataset with a seeded split into train and val.

    Images without labels, labels without an image and unreadable images are named and left out: exit status 1.

    A malformed label line stops the conversion before anything is written: exit status 2.

    Example: frostline data kitti KITTI/training datasets/kitti --ratio 0.8 --seed 42 --map Van=Car
    """
    from rich.console import Console
    from rich.progress import Progress

    from frostline.datasets.kitti import convert_kitti

    errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        summary = convert_kitti(
            src,
            out,
            ratio,
            seed,
            [name.strip() for name in classes.split(",") if name.strip()],
            mapping=_mapping(mapping),
            link=link,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    console.print(_table(summary))
    console.print(_left_out(summary), markup=False)
    console.print(f"wrote {summary.yaml}", markup=False)
    for problem in summary.problems:
        errors.print(problem, markup=False)
    if summary.problems:
        raise typer.Exit(1)


def _mapping(pairs: list[str] | None) -> dict[str, str] | None:
    from frostline.errors import InputError

    if not pairs:
        return None
    words = [word.strip() for pair in pairs for word in pair.split(",") if word.strip()]
    if words == ["none"]:
        return {}
    parts = {word: [part.strip() for part in word.split("=")] for word in words}
    for word, part in parts.items():
        if len(part) != 2 or not all(part):
            raise InputError(f"--map {word}: expected TYPE=CLASS, such as Van=Car")
    return {kind: name for kind, name in parts.values()}


def _table(summary: KittiSummary) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("boxes", *summary.boxes, "total")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in next(iter(summary.boxes.values())):
        counts = [boxes[name] for boxes in summary.boxes.values()]
        table.add_row(Text(name), *map(str, counts), str(sum(counts)))
    totals = [sum(boxes.values()) for boxes in summary.boxes.values()]
    table.add_section()
    table.add_row("all classes", *map(str, totals), str(sum(totals)))
    table.add_row("images", *map(str, summary.images.values()), str(sum(summary.images.values())))
    return table


def _left_out(summary: KittiSummary) -> str:
    types = ", ".join(f"{kind} {count}" for kind, count in summary.left_out.items()) or "nothing"
    return f"left out: {types}; clipped to the image: {summary.clipped}; dropped without area: {summary.no_area}"
