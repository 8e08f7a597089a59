"""`frostline plan show`: a freeze plan on a model, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli import options as o

if TYPE_CHECKING:
    from frostline.freezing.outline import PlanOutline

app = typer.Typer(no_args_is_help=True, help="Freeze plans: what trains when, at what rate.")


@app.command("show")
def show_plan(
    plan: Annotated[Path, typer.Argument(help="A plan file, or a study file with --arm.")],
    model: o.Model,
    epochs: Annotated[int, typer.Option("--epochs", help="Length of a plan that does not say.")] = 100,
    arm: Annotated[str | None, typer.Option("--arm", help="Arm of a study file; without it, all are shown.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Chart: .png, .svg or .pdf.  [default: NAME.png]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; draw only with --out.")] = False,
    trust_checkpoint: o.Trust = False,
) -> None:
    """Draw a plan as layer against epoch: what is frozen, what trains, at what share of the learning rate.

    The model's weights are taken to come from a checkpoint; in a run, fresh tensors of frozen layers stay trainable.

    Examples:

        frostline plan show plan.yaml yolo11n.yaml --epochs 50

        frostline plan show examples/gradual.yaml yolo11n.yaml --arm from_head --out gradual.png
    """
    from frostline.errors import InputError
    from frostline.freezing.outline import outline
    from frostline.report import draw_plan
    from frostline.studies.file import read_plans
    from frostline.training import open_model
    from frostline.training.machine import hushed

    plans, length = read_plans(plan, arm)
    with hushed():
        module = open_model(model, trust_checkpoint)
    outlines = {}
    for name, given in plans.items():
        try:
            outlines[name] = outline(module, given, length or epochs)
        except InputError as error:
            where = f"{plan}: arm {name}" if len(plans) > 1 or arm else f"{plan}"
            raise InputError(f"{where}: {error}") from error
    if as_json:
        typer.echo(json.dumps({name: one.to_dict() for name, one in outlines.items()}, indent=2))
    for name, one in outlines.items():
        if not as_json:
            _print(name, one)
        if out is not None or not as_json:
            place = out or Path(f"{name}.png")
            place = place if len(outlines) == 1 else place.with_stem(f"{place.stem}-{name}" if out else name)
            typer.echo(f"wrote {draw_plan(one, f'{name} on {Path(model).name}', place)}", err=as_json)


def _print(name: str, plan: PlanOutline) -> None:
    from frostline.cli.console import plain_table, show
    from frostline.freezing import describe_indices

    out = plain_table("epochs", "frozen layers", "rates of the others", left=frozenset({"frozen layers"}))
    for stage in plan.stages:
        start = 0
        for end in range(1, stage.epochs + 1):
            if end < stage.epochs and _frozen(stage.factors[end], plan) == _frozen(stage.factors[start], plan):
                continue
            rows = [row[i] for row in stage.factors[start:end] for i in plan.weighted if row[i] > 0]
            span = f"{stage.first + start}" if end - start == 1 else f"{stage.first + start} to {stage.first + end - 1}"
            rate = f"{min(rows):.3g}" if min(rows) == max(rows) else f"{min(rows):.3g} to {max(rows):.3g}"
            out.add_row(span, describe_indices(_frozen(stage.factors[start], plan)), rate)
            start = end
    told = [f"{name}: {plan.epochs} epochs, {len(plan.weighted)} of {len(plan.roles)} layers have weights."]
    if any(stage.decided for stage in plan.stages):
        told.append("What freezes, or at what rates, is decided during the run from its own measurements.")
    show(out, *told)


def _frozen(factors: tuple[float, ...], plan: PlanOutline) -> list[int]:
    return [index for index in plan.weighted if factors[index] == 0]
