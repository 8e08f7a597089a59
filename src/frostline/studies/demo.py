"""The embedded default: rendered streets, a detector pretrained on them, and a freeze-depth study on their
log-chromaticity, with no data or network of anybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.datasets.scenes import render_scenes
from frostline.freezing import FreezePlan
from frostline.imaging import convert_folder, parse_isd
from frostline.studies.ablating import ablation
from frostline.studies.carrying import StudyOutcome
from frostline.studies.planned import PlannedRun
from frostline.studies.study import Study
from frostline.training import Observer, Run, train

DEPTHS = (3, 4, 5, 6)
COMMON: Mapping[str, Any] = {"imgsz": 224, "batch": 8, "nbs": 8, "optimizer": "AdamW", "momentum": 0.9, "plots": True}
PRETRAINING: Mapping[str, Any] = {**COMMON, "epochs": 24, "lr0": 0.002, "close_mosaic": 5}
FINE_TUNING: Mapping[str, Any] = {
    **COMMON,
    "epochs": 10,
    "lr0": 0.001,
    "preset": "log-chroma",
    "close_mosaic": 4,
    "warmup_epochs": 1.0,
}


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        pretrained: the run on sRGB that the study starts from.
        study: the study on log-chromaticity.
        outcome: what running it came to.
    """

    pretrained: Run
    study: Study
    outcome: StudyOutcome


def run_demo(
    folder: Path,
    *,
    images: int = 120,
    seeds: tuple[int, ...] = (0,),
    device: str | None = None,
    observer: Observer,
    step: Callable[[str], None],
    on_run: Callable[[int, int, PlannedRun], None],
    on_images: Callable[[int, int], None] | None = None,
) -> Demo:
    """Run the whole way from images to runs that can be compared; what is there already is not made again.

    Args:
        folder: everything goes below it.
        images: scenes to render, training and validation together.
        seeds: of each arm.
        device: see `training.train`.
        observer: see `training.train`.
        step: told what is about to be done.
        on_run: see `Study.run`.
        on_images: called with images done and images in all while rendering and converting.
    """
    scenes = folder / "scenes"
    step(f"render {images} street scenes in linear RGB, with cast shadows")
    summary = render_scenes(scenes, images=images, seed=0, progress=on_images)
    step("pretrain YOLO11n on their sRGB version")
    pretrained = train(
        "yolo11n.yaml", summary.srgb, FreezePlan.none(), project=folder, name="pretrain", device=device,
        observer=observer, **PRETRAINING,
    )  # fmt: skip
    step("convert the linear version to log-chromaticity (16-bit, log encoding)")
    chroma = folder / "chroma"
    convert_folder(summary.linear.parent, chroma, parse_isd(str(summary.isd)), encode="log", progress=on_images)
    step(f"fine-tune on it: nothing frozen, and the first {', '.join(map(str, DEPTHS))} layers frozen")
    file = ablation(
        str(pretrained.weights), str(chroma / "data.yaml"), DEPTHS, dict(FINE_TUNING), name="demo", seeds=seeds
    )
    study = Study(file, folder / "study")
    return Demo(pretrained, study, study.run(device=device, observer=observer, on_run=on_run))
