"""`frostline gradients`: how strongly each layer was pulled in each epoch, as a heat map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from frostline.analysis.gradients import GradientTable


def gradients(
    runs: Annotated[
        list[Path], typer.Argument(help="Run, arm and study folders, in any mix.", metavar="RUN...", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="The figure: .png, .svg or .pdf.", metavar="FIGURE")] = Path(
        "gradients.png"
    ),
    relative: Annotated[
        bool, typer.Option("--relative/--norm", help="Gradient norm over weight norm, or the gradient norm alone.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON in place of the table.")] = False,
) -> None:
    """Draw the gradient norm of every layer in every epoch, frozen layers as frozen.

    Several runs share one colour scale; stages of a run follow one another.

    Examples:

        frostline gradients runs/train/freeze_1_to_3

        frostline gradients studies/depth --norm --out depth-gradients.pdf
    """
    from frostline.analysis import find_whole_runs
    from frostline.cli.bar import stderr
    from frostline.cli.console import pure_stdout

    with pure_stdout(as_json):
        from frostline.report import draw_gradients

        found = find_whole_runs(runs)
        ours = [run for run in found if run.ours]
        for run in found:
            if not run.ours and ours:
                stderr().print(f"{run.path}: left out, plain Ultralytics keeps no gradients", markup=False)
        tables = draw_gradients(ours or found, out, relative=relative)
    if as_json:
        typer.echo(json.dumps([table.to_dict() for table in tables], indent=2, allow_nan=False))
    else:
        _print(tables, relative)
    typer.echo(f"wrote {out}", err=as_json)


def _print(tables: list[GradientTable], relative: bool) -> None:
    import numpy as np

    from frostline.cli.console import name_cell, plain_table, show

    out = plain_table("run", "epochs", "layers that trained", "strongest", "weakest", left=frozenset({"run"}))
    for table in tables:
        values = table.values(relative)
        assert values is not None
        trained = np.flatnonzero(np.isfinite(values).any(axis=1))
        means = {int(index): float(np.nanmean(values[index])) for index in trained}
        ends = [
            f"{pick(means, key=means.__getitem__)} ({pick(means.values()):.3g})" if means else "" for pick in (max, min)
        ]
        out.add_row(name_cell(table.name), str(len(table.measured)), str(len(means)), *ends)
    kind = "gradient norm over weight norm" if relative else "gradient norm"
    show(out, f"Strongest and weakest: the layer with the largest and the smallest mean {kind} over the epochs.")
