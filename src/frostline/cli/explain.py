"""`frostline explain`: where in an image a model finds what speaks for its detections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frostline.cli import options as o
from frostline.cli.batch import progress_bar


def explain(
    words: Annotated[
        list[str],
        typer.Argument(
            help="Checkpoints, run, arm or study folders; then, last, an image, a folder of images or a data.yaml.",
            metavar="WHAT... IMAGES",
            show_default=False,
        ),
    ],
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Layers to look at: 4,6,9.  [default: the last of each backbone resolution, and what the head reads]",
            metavar="SELECTOR",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="gradcam, gradcam++, xgradcam, hirescam, layercam or eigencam.")
    ] = "gradcam",
    only: Annotated[
        str | None, typer.Option("--class", help="Explain the detections of this class alone.", metavar="NAME")
    ] = None,
    conf: Annotated[float, typer.Option("--conf", min=0, max=0.999, help="Least confidence of a detection.")] = 0.25,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Images at most, spread over what is found.")] = 6,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; new, or of an earlier explanation.")] = Path(
        "explained"
    ),
    imgsz: Annotated[
        int | None,
        typer.Option(
            "--imgsz", min=32, help="Image size, pixels.  [default: that of the training, else 640]", show_default=False
        ),
    ] = None,
    device: o.Device = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
) -> None:
    """Draw class activation maps of the same images, layer by layer, for several models side by side.

    Needs the library grad-cam: pip install 'frostline[explain]'. An image that cannot be read is named at the end and
    the rest goes on: exit status 1.

    Examples:

        frostline explain runs/train/freeze_1_to_3 photos

        frostline explain runs/depth kitti/data.yaml --layers 4,9,17 --class Car

        frostline explain before.pt after.pt street.tif --method hirescam --out seen
    """
    from frostline.cli.bar import stderr
    from frostline.errors import InputError

    if len(words) < 2:
        raise InputError("give at least one model and, last, images: frostline explain RUN IMAGES")
    from frostline.probing.activation import cam_class
    from frostline.probing.explaining import explain as look
    from frostline.probing.subjects import find_subjects
    from frostline.report.explain import draw_explanation, open_folder

    errors = stderr()
    cam_class(method)  # before anything is read: a missing library is told at once
    subjects = find_subjects(words[:-1], lambda line: errors.print(line, markup=False))
    images = Path(words[-1])
    if images.is_dir() and out.resolve().is_relative_to(images.resolve()):
        raise InputError(f"--out {out}: lies in {images}, which is read; choose another folder")
    open_folder(out)
    with progress_bar("images x models") as progress:
        found = look(
            subjects, images, layers=layers, method=method, only=only, conf=conf, limit=limit, imgsz=imgsz,
            device=device, trust=trust_checkpoint, say=lambda line: errors.print(line, markup=False), progress=progress,
        )  # fmt: skip
    if found.images:
        with progress_bar("figures") as progress:
            files = draw_explanation(found, out, progress)
        typer.echo(
            f"{len(found.images)} images, {len(found.subjects)} models, {len(found.layers)} layers; "
            f"failed: {len(found.failed)}"
        )
        typer.echo(f"wrote {files[0]}, and {len(files) - 1} figures beside it")
    for path, why in found.failed:
        errors.print(f"{path}: {why}", markup=False)
    if found.failed:
        raise typer.Exit(1)
