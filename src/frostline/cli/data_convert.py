"""`frostline data convert`: labels of other tools to YOLO's."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.bar import bar, stderr
from frostline.cli.batch import Workers
from frostline.cli.options import AllowOutside

if TYPE_CHECKING:
    from frostline.datasets.convert import ConvertSummary


class Format(str, Enum):
    """Formats of labels that can be read."""

    KITTI = "kitti"
    LABELME = "labelme"
    COCO = "coco"
    VOC = "voc"
    YOLO = "yolo"


def convert(
    src: Annotated[Path, typer.Argument(help="Folder with images and labels; for COCO the JSON file will do.")],
    out: Annotated[Path, typer.Argument(help="Folder to write images/, labels/ and classes.txt to; made if missing.")],
    *,
    kind: Annotated[Format, typer.Option("--from", help="The format of the labels.", show_default=False)],
    classes: Annotated[
        str | None,
        typer.Option(help="Class names in the order of their ids, joined by commas; without it all, KITTI the usual."),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="NAME=CLASS",
            help="Count a name in the source as a class; repeat it or join by commas; 'none' for no mapping.",
        ),
    ] = None,
    scale_to_image: Annotated[
        bool, typer.Option("--scale-to-image", help="Scale boxes where the labels declare another image size.")
    ] = False,
    keep_empty: Annotated[
        bool, typer.Option("--keep-empty", help="Keep images whose LabelMe file has no shapes, as background.")
    ] = False,
    link: Annotated[bool, typer.Option("--link", help="Make symbolic links to the images instead of copies.")] = False,
    workers: Workers = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Convert KITTI, LabelMe, COCO, Pascal VOC or YOLO labels to YOLO, without a split.

    Boxes are clipped to the image, those without area dropped and counted. Images and labels without each other and
    unreadable images are named and left out: exit status 1. A malformed label stops before anything is written: 2.

    Example: frostline data convert --from kitti KITTI/training datasets/kitti-all --map Van=Car
    """
    from rich.console import Console

    from frostline.datasets.convert import convert_labels

    with bar("images") as progress:
        summary = convert_labels(
            src,
            out,
            kind.value,
            parse_classes(classes),
            mapping=parse_mapping(mapping),
            scale_to_image=scale_to_image,
            keep_empty=keep_empty,
            link=link,
            workers=workers,
            progress=progress,
        )
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    for line in _told(summary):
        console.print(line, markup=False)
    errors = stderr()
    for problem in summary.problems:
        errors.print(problem, markup=False)
    if summary.problems:
        raise typer.Exit(1)


def parse_classes(text: str | None) -> list[str] | None:
    """Read class names joined by commas."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def parse_mapping(pairs: list[str] | None) -> dict[str, str] | None:
    """Read `A=B` pairs, each joined by commas or not; None where there are none, empty for `none`.

    Raises:
        InputError: a word is no such pair.
    """
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


def _told(summary: ConvertSummary) -> list[str]:
    boxes = ", ".join(f"{name} {count}" for name, count in summary.boxes.items())
    left_out = ", ".join(f"{kind} {count}" for kind, count in summary.left_out.items()) or "nothing"
    scaled = f"; scaled to the image: {summary.scaled} images" if summary.scaled else ""
    unusable = f"; images and labels that cannot be used: {len(summary.problems)}" if summary.problems else ""
    return [
        f"images: {summary.images}; boxes: {sum(summary.boxes.values())} ({boxes})",
        f"left out: {left_out}; clipped to the image: {summary.clipped}; dropped without area: "
        f"{summary.no_area}{scaled}{unusable}",
        f"wrote {summary.out}; next: frostline data split {summary.out / 'images'} {summary.out / 'labels'} OUT",
    ]
