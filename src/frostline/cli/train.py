"""`frostline train` and `frostline two-stage`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frostline.cli import options as o

if TYPE_CHECKING:
    from frostline.freezing import FreezePlan


def train(
    model: o.Model,
    data: o.Data,
    pairs: o.Pairs = None,
    freeze: o.Freeze = None,
    train_only: o.TrainOnly = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="A freeze plan in YAML.", metavar="PLAN.yaml")] = None,
    weights: o.Weights = None,
    teacher: o.Teacher = None,
    freeze_fresh: o.FreezeFresh = False,
    epochs: o.Epochs = None,
    imgsz: o.Imgsz = None,
    batch: o.Batch = None,
    workers: o.Workers = None,
    preset: o.Preset = None,
    precision: o.Precision = None,
    reference: o.Reference = False,
    seed: o.Seed = 0,
    device: o.Devices = None,
    project: o.Project = Path("runs/train"),
    name: Annotated[str | None, typer.Option("--name", help="The run folder. Default: after the plan.")] = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
    exact_resume: o.ExactResume = False,
    track: o.TrackRun = None,
    quiet: o.Quiet = False,
    shutdown: o.Shutdown = None,
    yes: o.Yes = False,
) -> None:
    """Train one run and audit that what was to stay frozen did.

    Started again, it goes on where it stopped; a finished run is not run again.

    Examples:

        frostline train yolo11s.pt data.yaml --freeze 0-2 --epochs 50 --imgsz 1280 --batch 12

        frostline train yolo11s.pt data.yaml --train-only 0-5 --preset log-chroma lr0=0.005

        frostline train yolo11s.yaml data.yaml --weights yolo11s-cls.pt --freeze backbone

        frostline train yolo11n.pt data.yaml --freeze 0-2 --teacher best-of-yolo11s.pt
    """
    from frostline.errors import InputError

    values = o.settings(
        pairs, epochs=epochs, imgsz=imgsz, batch=batch, workers=workers, precision=precision, reference=reference,
    )  # fmt: skip
    chosen = _plan(plan, freeze, train_only, freeze_fresh)
    for key in values:
        own = [getattr(stage, key, None) for stage in chosen.stages]
        if None not in own:  # the run's value would never be used
            raise InputError(
                f"{key}: {plan} gives every stage its own ({', '.join(map(str, own))}); give it there alone"
            )
    _run(
        model,
        data,
        chosen,
        weights,
        teacher,
        project,
        name,
        seed,
        device,
        preset,
        trust_checkpoint,
        exact_resume,
        track,
        quiet,
        shutdown,
        yes,
        values,
    )


def two_stage(
    model: o.Model,
    data: o.Data,
    pairs: o.Pairs = None,
    freeze: o.Freeze = None,
    train_only: o.TrainOnly = None,
    epochs1: Annotated[int, typer.Option("--epochs1", min=1, help="Epochs of stage 1.")] = 50,
    epochs2: Annotated[int, typer.Option("--epochs2", min=1, help="Epochs of stage 2.")] = 250,
    lr1: Annotated[float, typer.Option("--lr1", help="First learning rate of stage 1.")] = 0.005,
    lr2: Annotated[float, typer.Option("--lr2", help="First learning rate of stage 2 (cosine).")] = 0.01,
    weights: o.Weights = None,
    teacher: o.Teacher = None,
    freeze_fresh: o.FreezeFresh = False,
    imgsz: Annotated[int, typer.Option("--imgsz", help="Image size, pixels (train and ablate: 640).")] = 1280,
    batch: Annotated[int, typer.Option("--batch", help="Images a batch (train and ablate: 16).")] = 12,
    workers: o.Workers = None,
    close_mosaic: Annotated[int, typer.Option("--close-mosaic", help="Last epochs of a stage without mosaic.")] = 10,
    preset: o.Preset = None,
    precision: o.Precision = None,
    reference: o.Reference = False,
    seed: o.Seed = 0,
    device: o.Devices = None,
    project: o.Project = Path("runs/train"),
    name: Annotated[str | None, typer.Option("--name", help="The run folder. Default: after the plan.")] = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
    exact_resume: o.ExactResume = False,
    track: o.TrackRun = None,
    quiet: o.Quiet = False,
    shutdown: o.Shutdown = None,
    yes: o.Yes = False,
) -> None:
    """Train with layers frozen first, then everything from the best weights of that stage.

    The run's best checkpoint is the better of the two stages', and a warning says so when stage 2 ends lower.

    Examples:

        frostline two-stage yolo11s.pt data.yaml --freeze 0-2

        frostline two-stage yolo11s.pt data.yaml --train-only 0-5 --epochs1 20 --epochs2 100 --imgsz 640
    """
    from frostline.errors import InputError
    from frostline.freezing import FreezePlan

    if freeze is None and train_only is None:
        raise InputError("say what stage 1 freezes: --freeze 0-2, or --train-only 0-5")
    values = o.settings(
        pairs, imgsz=imgsz, batch=batch, workers=workers, close_mosaic=close_mosaic,
        precision=precision, reference=reference,
    )  # fmt: skip
    for key, option in {
        "epochs": "use --epochs1 and --epochs2",
        "lr0": "use --lr1 and --lr2",
        "cos_lr": "stage 2 falls along a cosine; write a plan file for train --plan to change that",
    }.items():
        if key in values:  # each stage has its own, so the run's would never be used
            raise InputError(f"{key}: each stage has its own here: {option}")
    o.plan(freeze, train_only)  # a wrong selector is told by its option
    for option, rate in (("--lr1", lr1), ("--lr2", lr2)):
        if not 0 < rate < math.inf:
            raise InputError(f"{option} {rate:g}: expected a number above 0")
    chosen = FreezePlan.two_stage(
        freeze=freeze, train_only=train_only, epochs=(epochs1, epochs2), lr0=(lr1, lr2)
    ).model_copy(update={"freeze_fresh": freeze_fresh})
    _run(
        model,
        data,
        chosen,
        weights,
        teacher,
        project,
        name,
        seed,
        device,
        preset,
        trust_checkpoint,
        exact_resume,
        track,
        quiet,
        shutdown,
        yes,
        values,
    )


def _plan(path: Path | None, freeze: str | None, train_only: str | None, freeze_fresh: bool) -> FreezePlan:
    from frostline.errors import InputError
    from frostline.freezing import FreezePlan

    if sum(value is not None for value in (path, freeze, train_only)) > 1:
        raise InputError("give one of --freeze, --train-only and --plan")
    if path is not None:
        plan = FreezePlan.from_yaml(path)
        return plan.model_copy(update={"freeze_fresh": plan.freeze_fresh or freeze_fresh})
    return o.plan(freeze, train_only).model_copy(update={"freeze_fresh": freeze_fresh})


def _run(
    model: str, data: str, plan: FreezePlan, weights: str | None, teacher: str | None, project: Path,
    name: str | None, seed: int, device: str | None, preset: str | None, trust: bool, exact: bool, track: str | None,
    quiet: bool, shutdown: str | None, yes: bool, values: dict[str, Any],
) -> None:  # fmt: skip
    from frostline.cli.watch import watching
    from frostline.training import AuditError
    from frostline.training import train as train_run
    from frostline.training.power import powering_off

    try:
        with powering_off(shutdown, confirm(yes)), watching(quiet) as observer:
            run = train_run(
                model, data, plan, weights=weights, teacher=teacher, project=project, name=name, seed=seed,
                device=device, preset=preset, trust=trust, exact_resume=exact, track=track,
                observer=observer, **values,
            )  # fmt: skip
    except AuditError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"mAP50 {run.map50:.4f}, mAP50-95 {run.map50_95:.4f} (validation, best checkpoint, Ultralytics' AP)")
    typer.echo(f"{run.folder}")


def confirm(yes: bool) -> Any:
    """Return the function that asks before a shutdown: a prompt, or no question with `--yes`."""
    return (lambda _question: True) if yes else (lambda question: typer.confirm(question, default=False))
