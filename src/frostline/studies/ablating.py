"""The freeze-depth ablation: one arm a depth, a baseline, and two-stage arms of the same length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frostline.errors import InputError
from frostline.studies.file import StudyFile
from frostline.training import resolve_settings

STAGE_1_SHARE = 1 / 6
"""Part of the epochs that a two-stage arm spends in stage 1: 50 of 300, as in the two-stage command's defaults."""


def parse_depths(text: str) -> tuple[int, ...]:
    """Read a list of freeze depths such as `3,4,5,6`.

    Raises:
        InputError: not whole numbers, below 1 (the baseline has its own switch), or one twice.
    """
    try:
        depths = tuple(int(part) for part in text.replace(" ", ",").split(",") if part)
    except ValueError as error:
        raise InputError(f"freeze list '{text}': expected whole numbers joined by commas, such as 3,4,5,6") from error
    if not depths:
        raise InputError("the freeze list is empty; give depths such as 3,4,5,6")
    for depth in depths:
        if depth < 1:
            raise InputError(f"freeze list '{text}': depth {depth}: give 1 or more; nothing frozen is --baseline")
    if len(set(depths)) != len(depths):
        raise InputError(f"freeze list '{text}': a depth stands there twice")
    return depths


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read a list of seeds such as `0,1,2`.

    Raises:
        InputError: not whole numbers of at least 0.
    """
    try:
        seeds = tuple(int(part) for part in text.replace(" ", ",").split(",") if part)
    except ValueError as error:
        raise InputError(f"seeds '{text}': expected whole numbers joined by commas, such as 0,1,2") from error
    if not seeds or min(seeds) < 0:
        raise InputError(f"seeds '{text}': expected at least one whole number of 0 or more")
    return seeds


def ablation(
    model: str,
    data: str,
    depths: Sequence[int],
    train: dict[str, Any],
    *,
    name: str = "freeze-depth",
    weights: str | None = None,
    baseline: bool = True,
    two_stage: bool = False,
    seeds: Sequence[int] = (0,),
    freeze_fresh: bool = False,
    exact_resume: bool = False,
) -> StudyFile:
    """Make the study that asks how deep to freeze.

    Args:
        model: checkpoint or model YAML.
        data: data.yaml.
        depths: numbers of leading layers to freeze, each an arm `freeze_1_to_N`.
        train: training arguments, `preset` among them if wanted.
        name: of the study.
        weights: checkpoint that a model YAML starts from.
        baseline: add an arm that freezes nothing.
        two_stage: add for each depth an arm `two_stage_N`: frozen for a sixth of the epochs, then everything trains.
        seeds: of each arm.
        freeze_fresh: freeze tensors that did not come from the checkpoint, too.
        exact_resume: see `StudyFile`.

    Raises:
        InputError: too few epochs for two stages, or what `StudyFile.parse` finds.
    """
    fresh = {"freeze_fresh": True} if freeze_fresh else {}
    arms: dict[str, Any] = {"baseline": {}} if baseline else {}
    for depth in depths:
        arms[f"freeze_1_to_{depth}"] = {"freeze": f"0-{depth - 1}", **fresh}
    train = resolve_settings(train)  # said as for a single run, before it is part of a study
    study = {
        "name": name, "model": model, "weights": weights, "data": data, "train": train, "seeds": list(seeds),
        "exact_resume": exact_resume,
    }  # fmt: skip
    if two_stage:
        epochs = int(train["epochs"])
        if epochs < 2:
            raise InputError("two stages need at least 2 epochs")
        first = max(round(epochs * STAGE_1_SHARE), 1)
        for depth in depths:
            stages = [{"epochs": first, "freeze": f"0-{depth - 1}"}, {"epochs": epochs - first}]
            arms[f"two_stage_{depth}"] = {"stages": stages, **fresh}
    return StudyFile.parse({**study, "arms": arms}, "ablation")
