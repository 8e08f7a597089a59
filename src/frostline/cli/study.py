"""`frostline study`: run a study file, and see where a study stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli import options as o

if TYPE_CHECKING:
    from frostline.studies import Study

app = typer.Typer(no_args_is_help=True, help="Run a study file, and see where a study stands.")


@app.command("run")
def run(
    study: Annotated[str, typer.Argument(help="A study file, or the folder of a study.", metavar="STUDY")],
    project: Annotated[
        Path | None, typer.Option("--project", help="The study's folder. Default: runs/<name>.", show_default=False)
    ] = None,
    device: o.Devices = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the runs and what they will cost; train nothing.")
    ] = False,
    on: o.On = None,
    ray_address: o.RayAddress = None,
    gpus_per_run: o.GpusPerRun = None,
    cpus_per_run: o.CpusPerRun = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow jobs of SLURM to their end; by default they are left alone.")
    ] = False,
    print_sbatch: Annotated[
        bool, typer.Option("--print-sbatch", help="With --on slurm: show the script of the jobs; submit nothing.")
    ] = False,
    together: o.Together = False,
    track: o.Track = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
    quiet: o.Quiet = False,
    shutdown: o.Shutdown = None,
    yes: o.Yes = False,
) -> None:
    """Carry out every run of a study that is not finished.

    Exit status 0 when every run is finished, 1 when one failed (the others still ran), 2 for a bad study file.

    Examples:

        frostline study run examples/freeze_depth.yaml

        frostline study run runs/freeze-depth --quiet --together

        frostline study run examples/freeze_depth.yaml --on processes:2

        frostline study run examples/freeze_depth.yaml --on ray --gpus-per-run 0.5 --cpus-per-run 4

        frostline study run examples/slurm.yaml --on slurm --print-sbatch
    """
    from frostline.cli.studying import How, run_study
    from frostline.studies import Study

    placed = o.ray(ray_address, gpus_per_run, cpus_per_run)
    how = How(device, on, together, dry_run, quiet, shutdown, yes, track, placed, wait, print_sbatch)
    run_study(Study.from_yaml(study, project, trust_checkpoint), how)


@app.command("status")
def status(
    folder: Annotated[Path, typer.Argument(help="The folder of a study.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where every run of a study stands, and, of runs that are jobs of SLURM, what its queue says.

    Example:

        frostline study status runs/freeze-depth
    """
    from frostline.cli.queued import queue_of

    states, queue = _opened(folder).states(), queue_of(folder)
    if as_json:
        told = [{**vars(s), "folder": str(s.folder), "job": queue.to_dict(s.label)} for s in states]
        typer.echo(json.dumps(told, indent=2))
    else:
        from frostline.cli.studying import print_states

        print_states(states, queue.lines())


@app.command("logs")
def logs(
    folder: Annotated[Path, typer.Argument(help="The folder of a study.", metavar="DIR")],
    run: Annotated[str | None, typer.Argument(help="A run such as baseline/seed0, or an arm.", metavar="[RUN]")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Last lines of each log; 0 for all.", min=0)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until the runs have ended.")] = False,
) -> None:
    """Print what the runs of a study said, wherever they are carried out.

    Examples:

        frostline study logs runs/freeze-depth

        frostline study logs runs/freeze-depth baseline/seed0 --follow
    """
    from frostline.cli.studying import follow_logs, print_logs

    study = _opened(folder)
    shown = print_logs(study, run, lines)
    if follow:
        follow_logs(study, shown)


@app.command("cancel")
def cancel(
    folder: Annotated[Path, typer.Argument(help="The folder of a study.", metavar="DIR")],
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for the runs to stop.", min=0)] = 15.0,
) -> None:
    """Ask everything that works on a study to stop, on whatever machine it is, and take its jobs out of SLURM's queue.

    Finished runs and saved epochs are kept: `frostline study run` goes on from there.

    Example:

        frostline study cancel runs/freeze-depth
    """
    from frostline.cli.studying import cancel_study

    if not cancel_study(_opened(folder), wait):
        raise typer.Exit(1)


def _opened(folder: Path) -> Study:
    from frostline.errors import InputError

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    from frostline.studies import Study

    return Study.look(folder)
