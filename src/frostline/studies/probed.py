"""The study that a probe recommends."""

from __future__ import annotations

from collections.abc import Sequence

from frostline.probing import Probe
from frostline.studies.file import StudyFile


def probe_study(probe: Probe, name: str = "probed", seeds: Sequence[int] = (0, 1, 2), epochs: int = 100) -> StudyFile:
    """Make the study of the arms that a probe recommends.

    Args:
        probe: what it found.
        name: of the study.
        seeds: of each arm.
        epochs: of each run.

    Raises:
        InputError: what `StudyFile.parse` finds.
    """
    train = {"epochs": epochs, "imgsz": probe.settings["imgsz"], "batch": probe.settings["batch"]}
    study = {"name": name, "model": probe.model, "weights": probe.weights, "data": probe.data, "train": train}
    return StudyFile.parse({**study, "seeds": list(seeds), "arms": probe.recommendation.arms}, "the probe's study")
