"""Carrying a study out by an executor, in other processes or on other machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from frostline.studies.carrying import StudyOutcome
from frostline.studies.driving import OnLook, drive
from frostline.studies.executors.choosing import Place
from frostline.studies.executors.making import make_executor
from frostline.studies.executors.ray import RaySettings
from frostline.studies.executors.slurm import SlurmExecutor, leave
from frostline.training import Observer
from frostline.training.pretraining.run import OnStep

if TYPE_CHECKING:
    from frostline.studies.study import Study


def run_elsewhere(
    study: Study,
    place: Place,
    device: str | None,
    observer: Observer,
    *,
    on_step: OnStep | None,
    on_look: OnLook | None,
    track: str | None,
    ray: Mapping[str, Any] | None,
    wait: bool,
) -> StudyOutcome:
    """Carry out every run of a study that is not finished.

    Args:
        study: the study.
        place: where to, other than `here`.
        device: see `Study.run`.
        observer: told of the place, and of runs that fail.
        on_step: see `Study.run`.
        on_look: see `Study.run`.
        track: the tracker that keeps the runs, or None.
        ray: see `Study.run`.
        wait: see `Study.run`.

    Raises:
        InputError: see `Study.begin` and `make_executor`; nothing was started then.
    """
    file = study.file
    placed = (file.ray or RaySettings()).model_copy(update=dict(ray or {}))
    executor = make_executor(place, study.folder, device, name=file.name, ray=placed, slurm=file.slurm)
    try:
        study.begin(executor.device, on_step)
    except BaseException:
        executor.close()
        raise
    observer.say(executor.describe())
    if isinstance(executor, SlurmExecutor) and not wait:
        return leave(study.folder, study.runs(), executor, device, observer.say, track)
    return drive(study.folder, study.runs(), executor, device, observer.say, on_look or (lambda _: None), track)
