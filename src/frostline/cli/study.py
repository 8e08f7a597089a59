"""`frostline study`: run a study file, and see where a study stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli import options as o

if TYPE_CHECKING:
    from frostline.studies import PlannedRun, RunState, Study

app = typer.Typer(no_args_is_help=True, help="Run a study file, and see where a study stands.")


@app.command("run")
def run(
    study: Annotated[str, typer.Argument(help="A study file, or the folder of a study.", metavar="STUDY")],
    project: Annotated[
        Path | None, typer.Option("--project", help="The study's folder. Default: runs/<name>.", show_default=False)
    ] = None,
    device: o.Device = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the runs and what they will cost; train nothing.")
    ] = False,
    together: o.Together = False,
    trust_checkpoint: o.Trust = False,
    quiet: o.Quiet = False,
    shutdown: o.Shutdown = None,
    yes: o.Yes = False,
) -> None:
    """Carry out every run of a study that is not finished.

    Exit status 0 when every run is finished, 1 when one failed (the others still ran), 2 for a bad study file.

    Examples:

        frostline study run examples/freeze_depth.yaml

        frostline study run runs/freeze-depth --quiet --together
    """
    from frostline.studies import Study

    run_study(Study.from_yaml(study, project, trust_checkpoint), device, dry_run, quiet, shutdown, yes, together)


@app.command("status")
def status(
    folder: Annotated[Path, typer.Argument(help="The folder of a study.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where every run of a study stands.

    Example:

        frostline study status runs/freeze-depth
    """
    from frostline.cli.console import pure_stdout
    from frostline.errors import InputError

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    with pure_stdout(as_json):
        from frostline.studies import Study

        states = Study.from_yaml(folder).states()
    if as_json:
        typer.echo(json.dumps([{**vars(s), "folder": str(s.folder)} for s in states], indent=2))
    else:
        print_states(states)


def run_study(
    study: Study, device: str | None, dry_run: bool, quiet: bool, shutdown: str | None, yes: bool, together: bool
) -> None:
    """Run a study, or show what it would do, and leave with the right exit status."""
    from frostline.cli.train import confirm
    from frostline.cli.watch import QuietObserver, observer_of, steps, watching
    from frostline.training.power import powering_off

    if dry_run:
        print_dry_run(study, device)
        return
    with powering_off(shutdown, confirm(yes)) as note_failure:
        with watching(quiet) as observer:

            def on_run(number: int, count: int, planned: PlannedRun) -> None:
                if isinstance(observer, QuietObserver):
                    observer.start(f"[{number}/{count}] {planned.label}", planned.spec.epochs)
                else:
                    observer.say(f"\nrun {number} of {count}: {planned.label}")

            with steps(observer) as on_step:
                outcome = study.run(
                    device=device, observer=observer, on_run=on_run, on_step=on_step, together=together,
                    observer_of=observer_of(observer),
                )  # fmt: skip
        if not outcome.complete:
            note_failure()
    print_states(study.states())
    typer.echo(f"{study.folder}")
    if not outcome.complete:
        raise typer.Exit(1)


def print_states(states: list[RunState]) -> None:
    """Print one row a run: status, epochs, mAP50, audit."""
    from rich.markup import escape

    from frostline.cli.console import plain_table, show

    table = plain_table("arm", "seed", "status", "epochs", "mAP50", "audit", left=frozenset({"arm", "status", "audit"}))
    colours = {"finished": "green", "failed": "red", "interrupted": "yellow", "running": "cyan"}
    for state in states:
        colour = colours.get(state.status, "dim")
        score = "" if state.map50 is None else f"{state.map50:.4f}"
        table.add_row(
            escape(state.arm), str(state.seed), f"[{colour}]{state.status}[/]",
            f"{state.epochs_done}/{state.epochs}", score, state.audit or "",
        )  # fmt: skip
    reasons = [f"{state.arm}/seed{state.seed}: {state.reason}" for state in states if state.reason]
    finished = sum(state.status == "finished" for state in states)
    show(table, *reasons, f"{finished} of {len(states)} runs finished")


def print_dry_run(study: Study, device: str | None) -> None:
    """Print the runs of a study, what each freezes, and what it will cost, from one timed batch a stage."""
    from rich.markup import escape

    from frostline.cli.console import console, plain_table, show
    from frostline.cli.watch import steps
    from frostline.probing import BatchCost, estimate_run
    from frostline.training import choose_device, describe_device

    chosen = choose_device(device)
    with steps() as on_step:
        prepared = study.prepare(on_step)
    titles = ("arm", "frozen", "params frozen", "epochs", "hours a run", "disk", "memory")
    table = plain_table(*titles, left=frozenset({"arm", "frozen", "epochs"}))
    seeds, hours, disk = len(study.file.seeds), 0.0, 0
    measured: dict[tuple[str, ...], BatchCost] = {}
    with console().status("timing one batch of each arm"):
        for name, (planned, data, run) in prepared.items():
            cost = estimate_run(planned.spec, data, run, chosen, measured)
            hours, disk = hours + cost.hours * seeds, disk + cost.disk_bytes * seeds
            stages = " + ".join(
                f"{s.epochs} ({_hours(h)})" for s, h in zip(planned.spec.plan.stages, cost.stage_hours, strict=True)
            )
            table.add_row(
                escape(name), planned.spec.plan.stages[0].selector, f"{run.freezes[0].frozen_share:.1%}", stages,
                _hours(cost.hours), f"{cost.disk_bytes / 2**20:,.0f} MiB", f"{cost.memory_bytes / 2**30:.1f} GiB",
            )  # fmt: skip
    count = len(study.runs())
    show(
        table,
        f"{count} runs ({len(prepared)} arms, seeds {', '.join(map(str, study.file.seeds))}) on "
        f"{describe_device(chosen)}: about {_hours(hours)} and {disk / 2**30:.1f} GiB of disk. Estimated from one "
        "timed batch of each arm; start-up, checkpoints and plots are not in it.",
        *study.pretrainings.describe({name: planned.spec for name, (planned, _, _) in prepared.items()}),
        *_warnings({name: run.warnings for name, (_, _, run) in prepared.items()}),
    )


def _warnings(by_arm: dict[str, tuple[str, ...]]) -> list[str]:
    """Word each warning once, with the arms it is about."""
    arms: dict[str, list[str]] = {}
    for arm, warnings in by_arm.items():
        for warning in warnings:
            arms.setdefault(warning, []).append(arm)
    return [f"{'all arms' if len(a) == len(by_arm) else ', '.join(a)}: {warning}" for warning, a in arms.items()]


def _hours(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"
