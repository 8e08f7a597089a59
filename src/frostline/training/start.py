"""What comes before the first epoch: is the folder free or this very run's, and what its user is told."""

from __future__ import annotations

import json
from pathlib import Path

from frostline.errors import InputError
from frostline.files import holds_files
from frostline.training.arithmetic import Arithmetic, choose_arithmetic
from frostline.training.machine import busy_warning, describe_device, first_device, loader_workers
from frostline.training.preparing import Prepared, describe_pixels
from frostline.training.record import RECORD, Observer, Run
from frostline.training.spec import RunSpec, differences, layers_in_words


def announce(spec: RunSpec, prepared: Prepared, device: str, arithmetic: Arithmetic, observer: Observer) -> None:
    """Say what a run is about to do."""
    frozen = prepared.freezes[0].selected_layers
    stages = len(prepared.freezes)
    observer.say(f"{spec.arm}, seed {spec.seed}, on {describe_device(device)}")
    observer.say(f"network in {arithmetic.precision} ({arithmetic.why}), loss and boxes in float32")
    observer.say(f"Training with {layers_in_words(frozen)}" + (f" in stage 1 of {stages}" if stages > 1 else ""))
    observer.say(f"[freeze_experiment] total_layers={prepared.freezes[0].total_layers} frozen_layers={list(frozen)}")
    observer.say(prepared.transfer.describe())
    if spec.teacher is not None:
        observer.say(f"distilled from {spec.teacher}" + (f" in each of {stages} stages" if stages > 1 else ""))
    for freeze in prepared.freezes:
        observer.say(freeze.describe())
    for number, stage in enumerate(spec.plan.stages, 1):
        if stage.schedule:
            observer.say(stage.schedule if stages == 1 else f"stage {number}: {stage.schedule}")
    if prepared.pixels.deep:
        observer.say(f"{describe_pixels(prepared.pixels)}; hue and saturation are left alone")
    observer.say(
        "parameters are counted here as they train; Ultralytics counts them before the checkpoint is loaded, and after "
        "BatchNorm is fused into the convolutions"
    )
    workers = loader_workers(spec.settings.get("workers"), device)
    each = " for each GPU" if "," in device else ""
    observer.say(
        f"images are loaded by {f'{workers} processes' if workers else 'the training process (workers=0)'}{each}"
    )
    busy = busy_warning()
    for warning in (*prepared.warnings, *([busy] if busy else [])):
        observer.say(f"warning: {warning}")


def arithmetic_on(device: str, spec: RunSpec, prepared: Prepared, *, tracked: bool = False) -> Arithmetic:
    """Make sure that a run can train on a device, or on several, and work out how it computes there.

    Args:
        device: `cpu`, `mps`, a GPU's number, or several of them.
        spec: the run.
        prepared: what `prepare` returned.
        tracked: an experiment tracker keeps the run.

    Raises:
        InputError: see `choose_arithmetic`; or what several GPUs cannot do.
    """
    if "," in device:
        check_several(device, spec, tracked)
    return choose_arithmetic(
        spec.settings, first_device(device), deep=prepared.pixels.deep, teacher=spec.teacher is not None
    )


def check_several(device: str, spec: RunSpec, tracked: bool = False) -> None:
    """Make sure that a run can train on several GPUs at once.

    Raises:
        InputError: something that works in one process alone, or a batch that does not divide.
    """
    count = device.count(",") + 1
    if tracked:
        raise InputError(f"--track with --device {device}: a tracker follows a run in one process; use one GPU a run")
    if spec.exact_resume:
        raise InputError(f"exact_resume with --device {device}: it keeps the state of one process; use one GPU a run")
    for stage in spec.plan.stages:
        settings = spec.stage_settings(stage)
        for key in ("cache_features", "rect"):
            if settings.get(key):
                raise InputError(f"{key}=true with --device {device}: works in one process alone; use one GPU a run")
        batch = settings["batch"]
        if batch < 1 or batch % count:
            raise InputError(
                f"batch={batch} with --device {device}: it is shared by {count} GPUs; expected a multiple of {count}, "
                f"such as batch={max(round(batch / count), 1) * count}"
            )


def check_folder(spec: RunSpec, folder: Path) -> Run | None:
    """Return the run that a folder holds, if it is this one; None for a new folder.

    Raises:
        InputError: the folder holds a run with other settings, or files that are not a run of ours.
    """
    known = Run.open(folder)
    if known is None:
        if (folder / RECORD).is_file():
            raise InputError(
                f"{folder / RECORD} cannot be read: it is damaged; put it back from a copy, or remove {folder} to "
                "train the run again"
            )
        if holds_files(folder) or (folder.exists() and not folder.is_dir()):
            raise InputError(f"{folder} exists and is not a run of Frostline; choose another --name or --project")
        return None
    now = json.loads(json.dumps(spec.to_dict()))
    # a record from before a field was there was made as its default says
    defaults = {key: field.default for key, field in RunSpec.model_fields.items() if not field.is_required()}
    changed = differences({key: known.record.get(key, defaults.get(key)) for key in now}, now)
    if changed:
        raise InputError(f"{folder} holds a run with other settings ({'; '.join(changed[:5])}); choose another --name")
    return known


def check_teacher(teacher: str | None, known: Run | None) -> None:
    """Make sure that a run goes on with the teacher that it began with.

    Args:
        teacher: fingerprint of the checkpoint as it is now, or None.
        known: the run as it was left, or None for a new one.

    Raises:
        InputError: the file holds another model since.
    """
    before = known.record.get("teacher_fingerprint") if known is not None else None
    if known is not None and before is not None and teacher != before:
        raise InputError(
            f"{known.record['teacher']}: another model than the one {known.folder} began with; put that one back, or "
            "choose another --name"
        )
