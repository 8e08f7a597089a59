"""`frostline pretrain`: a detector's backbone trained on images without labels, before it is fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from frostline.cli import options as o


def pretrain(
    model: o.Model,
    images: Annotated[
        Path,
        typer.Argument(help="Folder of images without labels, searched with its sub-folders.", metavar="IMAGES"),
    ],
    method: Annotated[str, typer.Option("--method", help="simclr or distillation.")] = "simclr",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Epochs over all images.")] = 100,
    imgsz: Annotated[int, typer.Option("--imgsz", min=32, help="Side of the square crops, pixels.")] = 224,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Images a step.")] = 64,
    lr: Annotated[
        float | None, typer.Option("--lr", help="Learning rate. Default: the method's own.", show_default=False)
    ] = None,
    seed: o.Seed = 0,
    weights: o.Weights = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Teacher of distillation, such as dinov3/vits16.")
    ] = None,
    teacher_weights: Annotated[
        Path | None, typer.Option("--teacher-weights", help="The teacher's weights; else they are downloaded.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="data.yaml whose 'pixels:' says what images of more than 8 bits mean."),
    ] = None,
    project: Annotated[Path, typer.Option("--project", help="Folder that pretrained checkpoints are kept in.")] = Path(
        "runs/pretrain"
    ),
    device: o.Device = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
) -> None:
    """Pretrain a detector's backbone on images without labels, with lightly-train.

    The result is kept by content: asked for the same again, the command says where it lies. Freeze and fine-tune it
    with frostline train, or name it in a study file: pretrain: {method: simclr, images: DIR, epochs: 100}.

    Examples:

        frostline pretrain yolo11s.pt thermal/ --epochs 100 --batch 64

        frostline pretrain yolo11s.pt raw16/ --data raw16/data.yaml --method distillation --teacher dinov3/vits16
    """
    from frostline.errors import InputError
    from frostline.training.pretraining.cache import need_lightly
    from frostline.training.pretraining.settings import Pretraining

    need_lightly()
    values: dict[str, Any] = {
        "method": method, "images": str(images), "epochs": epochs, "imgsz": imgsz, "batch": batch, "seed": seed,
        "lr": lr, "teacher": teacher, "teacher_weights": teacher_weights and str(teacher_weights), "data": data,
    }  # fmt: skip
    try:
        settings = Pretraining.parse({k: v for k, v in values.items() if v is not None}, "pretrain")
    except InputError as error:
        raise InputError(str(error).removeprefix("pretrain: ")) from error
    _run(settings, model, weights, project, device, trust_checkpoint)


def _run(settings: Any, model: str, weights: str | None, project: Path, device: str | None, trust: bool) -> None:
    from frostline.cli.watch import steps
    from frostline.training.pretraining.run import carry_out, plan
    from frostline.training.pretraining.start import PretrainError

    try:
        with steps() as on_step:
            planned = plan(settings, model, weights, cache=project, trust=trust, on_step=on_step)
            kept = carry_out(planned, device, typer.echo, on_step)
    except PretrainError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{kept.checkpoint}")
    typer.echo(f"fine-tune it: frostline train {kept.checkpoint} data.yaml --freeze 0-2", err=True)
