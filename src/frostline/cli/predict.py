"""`frostline predict`: what a model finds in images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli import options as o
from frostline.cli.batch import progress_bar

if TYPE_CHECKING:
    from frostline.training import Predictions

Model = Annotated[
    str,
    typer.Argument(help="Checkpoint (.pt), or a run folder, whose weights/best.pt is taken.", metavar="MODEL"),
]
Images = Annotated[
    list[str], typer.Argument(help="Images, folders with their sub-folders, or one data.yaml.", metavar="IMAGES...")
]


def predict(
    model: Model,
    images: Images,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; new, or of earlier predictions.")] = Path(
        "predictions"
    ),
    save_txt: Annotated[bool, typer.Option("--save-txt", help="Also write YOLO text with confidences.")] = False,
    no_overlays: Annotated[bool, typer.Option("--no-overlays", help="Draw no pictures.")] = False,
    conf: Annotated[float, typer.Option("--conf", min=0, max=1, help="Least confidence.")] = 0.25,
    iou: Annotated[float, typer.Option("--iou", min=0, max=1, help="Overlap above which one of two boxes goes.")] = 0.7,
    max_det: Annotated[int, typer.Option("--max-det", min=1, help="Boxes an image at most.")] = 300,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes", help="The only classes to look for, joined by commas.", metavar="NAME,...", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="A data.yaml whose 'pixels:' hold for the images.", metavar="DATA", show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Of a data.yaml.  [default: val]", metavar="SPLIT", show_default=False)
    ] = None,
    imgsz: Annotated[
        int | None,
        typer.Option(
            "--imgsz", min=32, help="Image size, pixels.  [default: that of the training, else 640]", show_default=False
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images at once; changes the speed alone.")] = 1,
    device: o.Device = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """Draw what a model finds in images of 8 bits, uint16 or float32.

    An image that cannot be read is named at the end and the rest goes on: exit status 1.

    Examples:

        frostline predict runs/train/freeze_1_to_3 photos --out found --save-txt

        frostline predict yolo11s.pt a.png b.tif --classes car,truck --conf 0.4

        frostline predict runs/train/baseline chroma/data.yaml --split test --json
    """  # fmt: skip
    from frostline.cli.bar import stderr
    from frostline.training import predict as predict_images

    errors = stderr()
    with progress_bar("images") as progress:
        found = predict_images(
            model, images, out=out, data=data, split=split, overlays=not no_overlays, save_txt=save_txt, conf=conf,
            iou=iou, max_det=max_det, imgsz=imgsz, batch=batch, device=device,
            classes=None if classes is None else [name.strip() for name in classes.split(",") if name.strip()],
            trust=trust_checkpoint, say=lambda line: errors.print(line, markup=False), progress=progress,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found, out, conf)
    for path, why in found.failed:
        errors.print(f"{path}: {why}", markup=False)
    if found.failed:
        raise typer.Exit(1)


def _print(found: Predictions, out: Path, conf: float) -> None:
    from frostline.cli.console import name_cell, plain_table, show

    table = plain_table("class", "detections", "images", left=frozenset({"class"}))
    counts = found.counts()
    for name, (boxes, images) in counts.items():
        table.add_row(name_cell(name), str(boxes), str(images))
    total = sum(boxes for boxes, _ in counts.values())
    none = "" if total else f" (none is as sure as --conf {conf:g})"
    lines = f"images: {len(found.images)}; detections: {total}{none}; failed: {len(found.failed)}", f"wrote {out}"
    if total:
        show(table, *lines)
    else:
        for line in lines:
            typer.echo(line)
