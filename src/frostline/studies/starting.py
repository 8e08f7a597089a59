"""Starting a study's runs: everything that is checked before anything is written, and who then carries them out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from frostline.datasets.image_cache import ImageCache
from frostline.errors import InputError
from frostline.files import write_text
from frostline.studies.carrying import Carrier, OnRun, StudyOutcome
from frostline.studies.claims import Claims
from frostline.studies.driving import OnLook
from frostline.studies.elsewhere import run_elsewhere
from frostline.studies.pairing import check_pairing
from frostline.studies.planned import PlannedRun
from frostline.studies.study import FILE, Study
from frostline.studies.together import ObserverOf
from frostline.training import CheckedData, Observer, Prepared, Run, check_data, prepare
from frostline.training.decoded import keeping_images
from frostline.training.machine import choose_device, choose_devices, quick_collections
from frostline.training.pretraining.run import OnStep
from frostline.training.record import LoggingObserver
from frostline.training.room import check_disk
from frostline.training.start import arithmetic_on
from frostline.training.tracking import check_tracker

PreparedArms = dict[str, tuple[PlannedRun, CheckedData, Prepared]]


def prepare_study(study: Study, on_step: OnStep | None = None, arms: Collection[str] | None = None) -> PreparedArms:
    """Check every arm. See `Study.prepare`."""
    study.check_folder()
    data: dict[str, CheckedData] = {}
    built: dict[Any, Any] = {}
    found = {}
    for name in study.file.arms:
        if arms is not None and name not in arms:
            continue
        planned = study.planned(name, study.file.seeds[0])
        if planned.spec.data not in data:
            data[planned.spec.data] = check_data(planned.spec.data_file)
        checked = data[planned.spec.data]
        try:
            planned = replace(planned, spec=study.pretrainings.settle(planned.spec, on_step))
            if not all(study.planned(name, seed).finished for seed in study.file.seeds):
                study.pretrainings.check(planned.spec)
            found[name] = (planned, checked, prepare(planned.spec, checked, study.folder, built))
        except InputError as error:
            raise InputError(f"arm {name}: {error}") from error
    check_pairing(list(data.items()))
    check_disk(study.folder, sum(p.disk_bytes for _, _, p in found.values()) * len(study.file.seeds))
    return found


def begin_study(study: Study, device: str | None, on_step: OnStep | None = None, tracked: bool = False) -> PreparedArms:
    """Check everything, and write the study's file into its folder. See `Study.begin`."""
    prepared = study.prepare(on_step)
    for planned, _, ready in prepared.values():
        if device is None:
            break
        arithmetic_on(device, planned.spec, ready, tracked=tracked)
    if not (study.folder / FILE).exists():
        write_text(study.folder / FILE, study.file.to_yaml())
    Claims(study.folder).tidy()
    return prepared


def run_study(
    study: Study,
    *,
    device: str | None,
    observer: Observer | None,
    on_run: OnRun | None,
    on_step: OnStep | None,
    together: bool,
    observer_of: ObserverOf | None,
    on: str | None,
    on_look: OnLook | None,
    track: str | None,
    ray: Mapping[str, Any] | None,
    wait: bool,
) -> StudyOutcome:
    """Carry out every run that is not finished. See `Study.run`."""
    tracker = study.tracker(track)
    if tracker in ("wandb", "tensorboard") and together:
        raise InputError(f"{tracker} has one run open in a process: use either --together or --track {tracker}")
    place = study.place(on)
    if ray and place.kind != "ray":
        raise InputError(f"{', '.join(sorted(ray))}: for runs on a Ray cluster: use it with --on ray")
    if place.kind != "here":
        if together:
            raise InputError("runs train in lockstep in one process: use either --together or --on")
        return run_elsewhere(
            study, place, device, observer or LoggingObserver(), on_step=on_step, on_look=on_look, track=tracker,
            ray=ray, wait=wait,
        )  # fmt: skip
    prepared = study.begin(
        (choose_device if together else choose_devices)(device), on_step, tracked=tracker is not None
    )
    carrier = Carrier(
        study.folder,
        study.runs(),
        prepared,
        study.pretrainings,
        device,
        observer or LoggingObserver(),
        on_run,
        on_step,
        track=tracker,
        experiment=study.file.name,
    )
    with quick_collections(), _images(study, prepared) as carrier.images:
        return carrier.together(observer_of) if together else carrier.in_turn()


def run_one(
    study: Study,
    arm: str,
    seed: int,
    *,
    device: str | None,
    observer: Observer | None,
    track: str | None,
    place_of: Callable[[str], str] | None,
) -> Run:
    """Carry out a single run of a study that was begun. See `Study.run_one`."""
    planned = next((one for one in study.runs() if (one.spec.arm, one.spec.seed) == (arm, seed)), None)
    if planned is None:
        raise InputError(f"{study.folder}: no run {arm}/seed{seed}")
    if place_of is not None and not planned.finished:
        study.places[planned.spec.data] = place_of(planned.spec.data)
        planned = study.planned(arm, seed)
    carrier = Carrier(
        study.folder,
        [planned],
        study.prepare(arms=[arm]),
        study.pretrainings,
        device,
        observer or LoggingObserver(),
        on_run=None,
        on_step=None,
        keep_log=False,
        track=check_tracker(track),
        experiment=study.file.name,
    )
    return carrier.one(planned)


def _images(study: Study, prepared: PreparedArms) -> AbstractContextManager[ImageCache | None]:
    data = {planned.spec.data: ready for planned, _, ready in prepared.values()}.values()
    largest = max(data, key=lambda ready: ready.images)
    count = sum(ready.images for ready in data)
    return keeping_images(study.file.train, study.folder, count, largest.imgsz, largest.pixels)
