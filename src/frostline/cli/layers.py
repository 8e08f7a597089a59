"""`frostline layers`: what a model is made of, and what a plan would freeze in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frostline.cli import options as o

if TYPE_CHECKING:
    from frostline.freezing import Freeze, LayerTable


def layers(
    model: o.Model,
    imgsz: Annotated[int, typer.Option("--imgsz", help="Side of the square input, pixels.")] = 640,
    freeze: o.Freeze = None,
    train_only: o.TrainOnly = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    trust_checkpoint: o.Trust = False,
) -> None:
    """Show every layer of a model, and what a plan would freeze.

    Works for every detection model that Ultralytics ships: YOLOv5u, v8, v9, v10, 11, 12, 26 and RT-DETR.

    Examples:

        frostline layers yolo11s.pt --imgsz 1280 --freeze 0-2

        frostline layers yolo11s.yaml --json
    """
    from frostline.cli.console import pure_stdout
    from frostline.errors import InputError

    if imgsz < 32:
        raise InputError(f"--imgsz {imgsz}: expected at least 32 pixels")
    plan = o.plan(freeze, train_only)
    with pure_stdout(as_json):
        from frostline.freezing import layer_table, resolve_freeze
        from frostline.training import open_model
        from frostline.training.checkpoints import rounded_imgsz
        from frostline.training.machine import hushed

        with hushed():
            module = open_model(model, trust_checkpoint)
    fitting, note = rounded_imgsz(imgsz, module)
    if note:
        typer.echo(f"warning: {note}", err=True)
    table = layer_table(module, fitting)
    frozen = resolve_freeze(module, plan.stages[0]) if plan.freezes else None
    if as_json:
        typer.echo(json.dumps(_as_dict(model, table, frozen), indent=2))
    else:
        _print(model, table, frozen, plan.stages[0].selector)


def _as_dict(model: str, table: LayerTable, freeze: Freeze | None) -> dict[str, Any]:
    found: dict[str, Any] = {"model": model, **table.to_dict()}
    if freeze is not None:
        touched = _touched(freeze)
        for row in found["layers"]:
            row["frozen"] = touched.get(row["index"], "no")
        found["totals"] |= {
            "frozen_parameters": freeze.frozen_count,
            "trainable_parameters": freeze.trainable_count,
            "fixed_parameters": freeze.fixed_count,
            "frozen_share": freeze.frozen_share,
            "frozen_batchnorms": len(freeze.batchnorms),
            "frozen_layers": list(freeze.selected_layers),
        }
    return found


def _touched(freeze: Freeze) -> dict[int, str]:
    """Tell for each layer that the plan touches whether it is frozen whole or in part."""
    from frostline.freezing.selectors import layer_index

    touched = {layer_index(name): "partly" for name in freeze.frozen}
    return {**touched, **dict.fromkeys(freeze.selected_layers, "yes")}


def _print(model: str, table: LayerTable, freeze: Freeze | None, selector: str) -> None:
    from frostline.cli.console import plain_table, show

    touched = _touched(freeze) if freeze is not None else {}
    titles = ["#", "type", "role", "params", "BN", "output", "stride", "% params", "% FLOPs"]
    out = plain_table(*titles, *(["plan"] if freeze else []), left=frozenset({"type", "role", "plan"}))
    for row in table.layers:
        cells = [
            str(row.index), row.type, row.role, f"{row.parameters:,}", str(row.batchnorms),
            "x".join(map(str, row.shape or ())), f"{row.stride:g}" if row.stride else "",
            f"{row.parameters_cumulative:.1%}", f"{row.flops_cumulative:.1%}",
        ]  # fmt: skip
        state = touched.get(row.index)
        if freeze is not None:
            cells.append({"yes": "frozen", "partly": "in part"}.get(state or "", ""))
        out.add_row(*cells, style="cyan" if state else None)
    totals = (
        f"{model}: {len(table)} layers, {table.parameters:,} parameters, {table.batchnorms} BatchNorms, "
        f"{table.flops / 1e9:.1f} GFLOPs at {table.imgsz} pixels. % counts from the first layer to this one."
    )
    show(out, totals, *([f"{selector}: {freeze.describe()}"] if freeze is not None else []))
