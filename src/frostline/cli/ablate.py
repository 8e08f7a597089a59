"""`frostline ablate`: the freeze-depth study in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frostline.cli import options as o


def ablate(
    model: o.Model,
    data: o.Data,
    pairs: o.Pairs = None,
    freeze_list: Annotated[str, typer.Option("--freeze-list", help="Depths to freeze, one arm each.")] = "3,4,5,6",
    baseline: Annotated[bool, typer.Option("--baseline/--no-baseline", help="Add an arm that freezes nothing.")] = True,
    two_stage: Annotated[
        bool, typer.Option("--two-stage", help="Add for each depth an arm that thaws everything after a sixth.")
    ] = False,
    seeds: Annotated[str, typer.Option("--seeds", help="One run for each arm and seed.")] = "0",
    weights: o.Weights = None,
    freeze_fresh: o.FreezeFresh = False,
    epochs: o.Epochs = None,
    imgsz: o.Imgsz = None,
    batch: o.Batch = None,
    workers: o.Workers = None,
    preset: o.Preset = None,
    precision: o.Precision = None,
    reference: o.Reference = False,
    device: o.Devices = None,
    project: Annotated[Path, typer.Option("--project", help="The study's folder.")] = Path("runs/freeze-depth"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the runs and what they will cost; train nothing.")
    ] = False,
    on: o.On = None,
    ray_address: o.RayAddress = None,
    gpus_per_run: o.GpusPerRun = None,
    cpus_per_run: o.CpusPerRun = None,
    together: o.Together = False,
    track: o.Track = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
    exact_resume: o.ExactResume = False,
    quiet: o.Quiet = False,
    shutdown: o.Shutdown = None,
    yes: o.Yes = False,
) -> None:
    """Train one run for each freeze depth and seed, equal in everything else.

    Arms are called baseline, freeze_1_to_3 and so on. Started again, it goes on where it stopped.

    Examples:

        frostline ablate yolo11s.pt data.yaml --freeze-list 3,4,5,6 --seeds 0,1,2 --epochs 300 --imgsz 1280 --batch 12

        frostline ablate yolo11s.pt data.yaml --two-stage --preset log-chroma --dry-run
    """
    from frostline.cli.studying import How, run_study
    from frostline.studies import Study, ablation, parse_depths, parse_seeds

    values = o.settings(
        pairs, epochs=epochs, imgsz=imgsz, batch=batch, workers=workers, preset=preset,
        precision=precision, reference=reference,
    )  # fmt: skip
    file = ablation(
        model, data, parse_depths(freeze_list), values, name=project.name or "freeze-depth", weights=weights,
        baseline=baseline, two_stage=two_stage, seeds=parse_seeds(seeds), freeze_fresh=freeze_fresh,
        exact_resume=exact_resume,
    )  # fmt: skip
    how = How(
        device, on, together, dry_run, quiet, shutdown, yes, track, o.ray(ray_address, gpus_per_run, cpus_per_run)
    )
    run_study(Study(file, project, trust_checkpoint), how)
