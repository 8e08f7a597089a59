"""`frostline evaluate`: what a run's checkpoint scores, with every box, for runs of anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frostline.cli import options as o

if TYPE_CHECKING:
    from frostline.training.evaluating import Evaluated


class Split(str, Enum):
    """Whose images."""

    VAL = "val"
    TEST = "test"


def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run, arm or study folders, of plain Ultralytics or ours, or checkpoints.",
            metavar="RUN...",
            show_default=False,
        ),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="The dataset's data.yaml.  [default: that of the training]",
            metavar="DATA",
            show_default=False,
        ),
    ] = None,
    split: Annotated[Split, typer.Option("--split", help="Whose images.")] = Split.VAL,
    weights: Annotated[
        str, typer.Option("--weights", help="Which checkpoint: best, last, or a path.", metavar="best|last|W.pt")
    ] = "best",
    imgsz: Annotated[
        int | None,
        typer.Option(
            "--imgsz", min=32, help="Image size, pixels.  [default: that of the training]", show_default=False
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=1,
            help="As in training; twice as many images are evaluated at once.  [default: that of the training]",
            show_default=False,
        ),
    ] = None,
    device: o.Device = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write, for a single run.", metavar="DIR", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Evaluate again what was evaluated already.")] = False,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the tables.")] = False,
) -> None:
    """Evaluate runs from their checkpoints, so that plain Ultralytics runs get intervals too.

    Writes predictions.parquet and evaluation.json; the run's own files are not touched.

    Examples:

        frostline evaluate runs/detect/train runs/detect/train2 --data data.yaml

        frostline evaluate runs/depth --split test

        frostline evaluate best.pt --data data.yaml --out evaluated
    """
    from frostline.cli.bar import stderr
    from frostline.cli.batch import progress_bar
    from frostline.cli.console import pure_stdout

    errors = stderr()
    with pure_stdout(as_json), progress_bar("images") as progress:
        from frostline.training.evaluating import evaluate as evaluate_runs

        done = evaluate_runs(
            runs, data=data, split=split.value, weights=weights, imgsz=imgsz, batch=batch, device=device, out=out,
            force=force, trust=trust_checkpoint, say=lambda line: errors.print(line, markup=False), progress=progress,
        )  # fmt: skip
    if as_json:
        told = [{"run": str(one.run), "folder": str(one.folder), "skipped": one.skipped, **one.record} for one in done]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for number, one in enumerate(done):
        if number:
            typer.echo("")
        _print(one)


def _print(one: Evaluated) -> None:
    from frostline.cli.console import plain_table, show

    metrics, record = one.record.get("metrics", {}), one.record
    table = plain_table("", "mAP50", "mAP50-95", "precision", "recall", left=frozenset({""}))
    for name, source in (("Ultralytics", "ultralytics"), ("COCO", "coco")):
        keys = ("mAP50", "mAP50-95", "precision", "recall")
        table.add_row(name, *(_number(metrics.get(f"{source}/{key}")) for key in keys))
    typer.echo(f"{one.run}" + (f" (skipped: {one.skipped}; --force evaluates again)" if one.skipped else ""))
    show(table)
    sizes = [f"{size} {_number(metrics.get(f'coco/AP_{size}'))}" for size in ("small", "medium", "large")]
    typer.echo(f"COCO's AP of objects by size: {', '.join(sizes)}")
    show(_classes(record.get("per_class", {})))
    spent = record.get("inference") or {}
    if spent:
        typer.echo(
            f"{spent['ms']:.1f} ms an image for network and NMS (median of {spent['passes']} passes, batch 1, "
            f"{spent['imgsz']} pixels, {spent['device']})"
        )
    typer.echo(f"{'found in' if one.skipped else 'wrote'} {one.folder}")


def _classes(per_class: Mapping[str, Mapping[str, Any]]) -> Any:
    from frostline.cli.console import name_cell, plain_table

    table = plain_table("class", "AP50", "AP50-95", "COCO's AP50", "COCO's AP50-95", left=frozenset({"class"}))
    keys = ("ultralytics/AP50", "ultralytics/AP50-95", "coco/AP50", "coco/AP50-95")
    for name, values in per_class.items():
        table.add_row(name_cell(name), *(_number(values.get(key)) for key in keys))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
