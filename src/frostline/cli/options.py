"""Options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from frostline.freezing import FreezePlan

Model = Annotated[
    str,
    typer.Argument(
        help="Checkpoint (.pt) or model YAML, by path or official name.", metavar="MODEL", show_default=False
    ),
]
Data = Annotated[str, typer.Argument(help="The dataset's data.yaml.", metavar="DATA", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(help="Any training argument of Ultralytics, as key=value.", metavar="[KEY=VALUE]..."),
]
Freeze = Annotated[
    str | None, typer.Option("--freeze", help="Layers to freeze: 0-2, backbone, 0,4,6, 23.cv3.", metavar="SELECTOR")
]
TrainOnly = Annotated[str | None, typer.Option("--train-only", help="The only layers that train.", metavar="SELECTOR")]
FreezeFresh = Annotated[
    bool, typer.Option("--freeze-fresh", help="Freeze tensors that did not come from the checkpoint, too.")
]
Weights = Annotated[
    str | None, typer.Option("--weights", help="Checkpoint that a model YAML starts from.", metavar="W.pt")
]
Teacher = Annotated[
    str | None, typer.Option("--teacher", help="Detector checkpoint to learn from beside the labels.", metavar="T.pt")
]
Imgsz = Annotated[int | None, typer.Option("--imgsz", help="Image size, pixels. Default: 640.", show_default=False)]
Batch = Annotated[int | None, typer.Option("--batch", help="Images a batch. Default: 16.", show_default=False)]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Epochs of the run. Default: 100.", show_default=False)]
Workers = Annotated[int | None, typer.Option("--workers", help="Loader processes.", show_default=False)]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, or a GPU's number. Default: the first GPU, else the CPU.")
]
Devices = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="cpu, a GPU's number, or several that share each batch (0,1). Default: the first GPU, else the CPU.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Of the network in training: auto (bf16 where the processor has it, fp16 on a GPU), fp32, bf16 or fp16.",
        show_default=False,
    ),
]
Reference = Annotated[
    bool, typer.Option("--reference", help="Compute exactly as plain Ultralytics does: fp32, and nothing made faster.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every generator.")]
Preset = Annotated[str | None, typer.Option("--preset", help="A named set of training arguments: log-chroma.")]
Trust = Annotated[
    bool, typer.Option("--trust-checkpoint", help="Open checkpoints without the restricted loader: they can run code.")
]


def _allow_outside(value: bool) -> bool:
    """Let datasets lead out of their folders: in the environment, which the processes of runs inherit."""
    if value:
        from frostline.datasets.outside import allow_outside

        allow_outside()
    return value


AllowOutside = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        help="Follow paths of a data.yaml that lead out of its folder and its path:.",
        callback=_allow_outside,
    ),
]
ExactResume = Annotated[
    bool,
    typer.Option(
        "--exact-resume",
        help="Keep float32 state beside the checkpoint: a killed run ends with the very weights of an unbroken one.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="One progress bar instead of Ultralytics' output.")]
Together = Annotated[
    bool, typer.Option("--together", help="Train arms of a seed in lockstep: each batch is loaded once. Same results.")
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="Where runs are carried out: here, processes:N, ray or slurm. Default: as the study says.",
        metavar="PLACE",
        show_default=False,
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        help="Keep runs in a tracker, too: mlflow, tensorboard or wandb. Default: as the study says, else none.",
        metavar="TRACKER",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="Ray cluster to use. Default: one is started here.",
        metavar="HOST:PORT",
        show_default=False,
    ),
]
GpusPerRun = Annotated[
    float | None,
    typer.Option("--gpus-per-run", help="With Ray: GPUs for a run; 0.5 puts two on each.", min=0, show_default=False),
]
CpusPerRun = Annotated[
    float | None,
    typer.Option("--cpus-per-run", help="With Ray: CPU cores for a run. Default: 2.", min=0, show_default=False),
]
TrackRun = Annotated[
    str | None,
    typer.Option(
        "--track",
        help="Keep the run in a tracker, too: mlflow, tensorboard or wandb.",
        metavar="TRACKER",
        show_default=False,
    ),
]
Shutdown = Annotated[
    str | None,
    typer.Option(
        "--shutdown",
        help="Power the machine off after the last run; --shutdown=always also after a failure.",
        metavar="[always]",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a shutdown is armed.")]
Project = Annotated[Path, typer.Option("--project", help="Folder that run folders are made in.")]


def settings(pairs: list[str] | None, **named: Any) -> dict[str, Any]:
    """Join `key=value` arguments and named options; an option that was not given is left out.

    Raises:
        InputError: a pair that is not one, or a value given in both ways.
    """
    from frostline.errors import InputError
    from frostline.training.settings import parse_pairs, refuse_taken

    values = parse_pairs(pairs or [])
    refuse_taken(values)
    for key, value in named.items():
        if value is not None and not (key == "reference" and value is False):
            if key in values:
                raise InputError(f"{key} is given twice: as --{key} and as {key}=")
            values[key] = value
    return values


def ray(address: str | None, gpus: float | None, cpus: float | None) -> dict[str, Any]:
    """Join the options of a Ray cluster; one that was not given is left out.

    Raises:
        InputError: no cores for a run.
    """
    from frostline.errors import InputError

    if cpus == 0:
        raise InputError("--cpus-per-run 0: a run needs a part of a core at least")
    given = {"address": address, "gpus_per_run": gpus, "cpus_per_run": cpus}
    return {key: value for key, value in given.items() if value is not None}


def plan(freeze: str | None, train_only: str | None) -> FreezePlan:
    """Read `--freeze` and `--train-only`.

    Raises:
        InputError: both are given, or one is no selector.
    """
    from frostline.errors import InputError
    from frostline.freezing import FreezePlan

    if freeze is not None and train_only is not None:
        raise InputError("give --freeze or --train-only, not both")
    option = "train_only" if freeze is None else "freeze"
    try:
        return FreezePlan.parse({option: freeze if train_only is None else train_only}, "")
    except InputError as error:
        raise InputError(f"--{option.replace('_', '-')}: {str(error).removeprefix(f'{option}: ')}") from error
