"""`frostline demo`: the whole way on data of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from frostline.cli import options as o


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder that everything goes into.")] = Path("runs/demo"),
    images: Annotated[int, typer.Option("--images", min=20, help="Scenes to render.")] = 120,
    seeds: Annotated[str, typer.Option("--seeds", help="One run for each arm and seed.")] = "0",
    device: o.Device = None,
) -> None:
    """Render streets, pretrain on them, convert them to log-chromaticity, and ask how deep to freeze.

    Needs no data and no network. Started again, it goes on where it stopped.

    Examples:

        frostline demo

        frostline demo --seeds 0,1,2 --out runs/demo-3-seeds
    """
    from frostline.cli.evidence import progress
    from frostline.cli.report import print_report
    from frostline.cli.watch import QuietObserver, watching
    from frostline.report import Report
    from frostline.studies import parse_seeds
    from frostline.studies.demo import run_demo
    from frostline.studies.planned import PlannedRun
    from frostline.training import choose_device, describe_device

    started = time.perf_counter()
    chosen = choose_device(device)
    number = 0
    with watching(quiet=True) as observer:
        assert isinstance(observer, QuietObserver)
        bar = observer.progress

        def step(text: str) -> None:
            nonlocal number
            number += 1
            observer.task = None
            observer.label = "pretraining"
            bar.console.print(f"[bold]{number}.[/bold] {text}", highlight=False)

        def on_run(index: int, count: int, planned: PlannedRun) -> None:
            observer.start(f"[{index}/{count}] {planned.label}", planned.spec.epochs)

        typer.echo(f"on {describe_device(chosen)}")
        result = run_demo(
            out, images=images, seeds=parse_seeds(seeds), device=chosen, observer=observer, step=step, on_run=on_run
        )
        bar.console.print("[bold]5.[/bold] report", highlight=False)
    if result.outcome.finished:
        with progress() as advance:
            report = Report.from_study(result.study, advance=advance)
            page = report.write(result.study.folder / "report", advance)
        print_report(report, page)
    typer.echo(f"pretrained on sRGB: mAP50 {result.pretrained.map50:.3f} on sRGB images")
    typer.echo(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    if not result.outcome.complete:
        raise typer.Exit(1)
