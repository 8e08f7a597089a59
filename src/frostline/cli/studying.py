"""What `frostline study` and `frostline ablate` do with a study: run it, and print where it stands."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from frostline.studies import PlannedRun, RunState, Study


COLOURS = {"finished": "green", "failed": "red", "interrupted": "yellow", "running": "cyan"}


@dataclass(frozen=True)
class How:
    """How a study is run, as the command line says."""

    device: str | None = None
    on: str | None = None
    together: bool = False
    dry_run: bool = False
    quiet: bool = False
    shutdown: str | None = None
    yes: bool = False
    track: str | None = None
    ray: Mapping[str, Any] = field(default_factory=dict)
    wait: bool = False
    print_sbatch: bool = False


def run_study(study: Study, how: How) -> None:
    """Run a study, or show what it would do, and leave with the right exit status."""
    from frostline.cli.livetable import live_table
    from frostline.cli.train import confirm
    from frostline.cli.watch import QuietObserver, observer_of, steps, watching
    from frostline.training.power import powering_off

    place, tracker = study.place(how.on), study.tracker(how.track)
    leaving = place.kind == "slurm" and not how.wait
    _check_slurm(how, place.kind == "slurm", leaving)
    if how.print_sbatch:
        from frostline.studies.executors.slurmscript import sbatch_script

        typer.echo(sbatch_script(study, how.device), nl=False)
        return
    if how.dry_run:
        print_dry_run(study, how.device)
        return
    elsewhere = place.kind != "here" and not leaving
    with powering_off(how.shutdown, confirm(how.yes)) as note_failure:
        with watching(how.quiet and not elsewhere) as observer, live_table(study, elsewhere) as on_look:

            def on_run(number: int, count: int, planned: PlannedRun) -> None:
                if isinstance(observer, QuietObserver):
                    observer.start(f"[{number}/{count}] {planned.label}", planned.spec.epochs)
                else:
                    observer.say(f"\nrun {number} of {count}: {planned.label}")

            with steps(observer) as on_step:
                outcome = study.run(
                    device=how.device, observer=observer, on_run=on_run, on_step=on_step, together=how.together,
                    observer_of=observer_of(observer), on=how.on, on_look=on_look,
                    track=how.track, ray=how.ray, wait=how.wait or not leaving,
                )  # fmt: skip
        if outcome.failed:
            note_failure()
    if leaving:
        return
    if tracker is not None and outcome.complete:
        keep_report(study, tracker)
    print_states(study.states())
    typer.echo(f"{study.folder}")
    if outcome.failed:
        raise typer.Exit(1)


def keep_report(study: Study, tracker: str) -> None:
    """Write the study's report, and keep it with the tracker's experiment."""
    from frostline.report import Report
    from frostline.training.tracking import tracking_study

    page = Report.from_study(study).write(study.folder / "report")
    typer.echo(f"{page}")
    tracking_study(tracker, study.file.name, study.folder, [page, page.parent / "report.json"])


def _check_slurm(how: How, slurm: bool, leaving: bool) -> None:
    from frostline.errors import InputError

    if how.print_sbatch and not slurm:
        raise InputError("--print-sbatch goes with --on slurm")
    if how.shutdown is not None and leaving:
        raise InputError(
            "--shutdown: jobs of SLURM go on when this command has ended; use it with --wait, or not at all"
        )


def print_logs(study: Study, run: str | None, lines: int) -> dict[Path, int]:
    """Print the ends of logs, and return how far each was read, in bytes.

    Raises:
        InputError: no run is called so, or none has said anything yet.
    """
    from frostline.errors import InputError, did_you_mean
    from frostline.studies.logs import log_of

    labels = [planned.label for planned in study.runs()]
    wanted = [label for label in labels if run in (None, label, label.rpartition("/")[0])]
    if not wanted:
        raise InputError(f"{study.folder}: no run '{run}'{did_you_mean(str(run), labels)}")
    logs = [log_of(study.folder, label) for label in wanted]
    read: dict[Path, int] = {}
    for log in logs:
        text = log.read_bytes() if log.is_file() else b""
        read[log] = len(text)
        if text:
            _title(study, log)
            told = text.decode("utf-8", "replace").replace("\r", "\n").splitlines()
            typer.echo("\n".join(told[-lines:]))
    if not any(read.values()):
        typer.echo(f"no run of {study.folder} has said anything yet", err=True)
    return read


def follow_logs(study: Study, read: dict[Path, int]) -> None:
    """Print what is added to logs, until nothing carries their runs out any longer."""
    from frostline.cli.queued import Queue

    last: Path | None = None
    queue = Queue(study.folder)
    while True:
        live = queue.active or any(state.by is not None for state in study.states())
        for log, done in read.items():
            if log.is_file() and log.stat().st_size > done:
                with log.open("rb") as stream:
                    stream.seek(done)
                    added = stream.read()
                if last != log and len(read) > 1:
                    _title(study, log)
                last, read[log] = log, done + len(added)
                typer.echo(added.decode("utf-8", "replace"), nl=False)
        if not live:
            return
        time.sleep(1)


def _title(study: Study, log: Path) -> None:
    typer.secho(f"== {log.relative_to(study.folder)}", bold=True)


def cancel_study(study: Study, seconds: float) -> bool:
    """Ask whoever works on a study to stop; return whether all have, after so many seconds at most."""
    from frostline.cli.queued import Queue
    from frostline.studies.claims import Claims

    before = [state for state in study.states() if state.by is not None]
    Claims(study.folder).cancel()
    queue = Queue(study.folder)
    waiting = queue.cancel_waiting()
    for state in before:
        typer.echo(f"asked {state.by} to stop {state.label}")
    typer.echo("".join(f"{line}\n" for line in waiting), nl=False)
    if not before and not waiting:
        typer.echo("no run is being carried out; a process that is about to begin one stops, too")
    ends = time.monotonic() + seconds
    live = before
    while live and time.monotonic() < ends:
        time.sleep(0.2)
        live = [state for state in study.states() if state.by is not None]
    for state in live:
        typer.echo(f"{state.label} has not stopped yet: {state.by}")
    for line in queue.cancel_rest():
        typer.echo(line)
    return not live and not queue.failed


def print_states(states: list[RunState], more: Sequence[str] = ()) -> None:
    """Print one row a run: status, epochs, mAP50, audit; and more lines, if there are any."""
    from rich.text import Text

    from frostline.cli.console import aligned, name_cell, show

    titles = ("arm", "seed", "status", "epochs", "mAP50", "audit")
    rows = [
        (
            name_cell(state.arm), Text(str(state.seed)), Text(state.status, COLOURS.get(state.status, "dim")),
            Text(f"{state.epochs_done}/{state.epochs}"), Text("" if state.map50 is None else f"{state.map50:.4f}"),
            name_cell(state.audit or ""),
        )
        for state in states
    ]  # fmt: skip
    table = aligned(titles, rows, left=frozenset({"arm", "status", "audit"}))
    reasons = [f"{state.arm}/seed{state.seed}: {state.reason}" for state in states if state.reason]
    finished = sum(state.status == "finished" for state in states)
    carried = [f"{state.label}: carried out by {state.by}" for state in states if state.by is not None]
    show(table, *reasons, *carried, *more, f"{finished} of {len(states)} runs finished")


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
