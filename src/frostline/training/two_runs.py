"""Two stages as two runs, the form of the reference script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frostline.freezing import FreezePlan
from frostline.training.collect import worse_stage
from frostline.training.record import LoggingObserver, Observer, Run
from frostline.training.run import train


def train_two_runs(
    model: str | Path,
    data: str | Path,
    plan: FreezePlan,
    *,
    epochs: tuple[int, int],
    names: tuple[str, str],
    project: str | Path,
    lr0: tuple[float, float] = (0.005, 0.01),
    device: str | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> tuple[Run, Run]:
    """Train two stages as two runs with folders of their own, the form of the reference script.

    `FreezePlan.two_stage` is the same in one run folder.

    Args:
        model: see `train`.
        data: see `train`.
        plan: of the first run; the second freezes nothing and starts from the first one's best weights.
        epochs: of the two runs.
        names: their folders in `project`.
        project: see `train`.
        lr0: their first learning rates; the second falls along a cosine.
        device: see `train`.
        observer: see `train`.
        settings: see `train`.
    """
    observer = observer or LoggingObserver()
    first = train(
        model, data, plan, project=project, name=names[0], device=device, observer=observer,
        tag="stage1_before_train", epochs=epochs[0], lr0=lr0[0], **settings,
    )  # fmt: skip
    second = train(
        first.weights, data, project=project, name=names[1], device=device, observer=observer,
        tag="stage2_before_train", epochs=epochs[1], lr0=lr0[1], cos_lr=True, **settings,
    )  # fmt: skip
    if second.map50_95 < first.map50_95:
        observer.say(worse_stage(2, second.map50_95, first.map50_95))
    return first, second
