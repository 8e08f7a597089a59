"""Everything that can be wrong with a run, found before it starts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from frostline.datasets import (
    EIGHT_BITS,
    Dataset,
    LabelSummary,
    PixelFormat,
    check_labels,
    load_dataset,
    pixel_format,
)
from frostline.datasets.headers import check_images, pictures_replaced
from frostline.errors import InputError
from frostline.freezing import BoundStage, Freeze, layer_roles, select
from frostline.training.checkpoints import (
    Transfer,
    check_trainable,
    count_transfer,
    locate_model,
    open_checkpoint,
    rounded_imgsz,
)
from frostline.training.features import check_features
from frostline.training.machine import hushed
from frostline.training.modelyaml import building, read_model_yaml
from frostline.training.room import check_disk, momentum_buffers, run_bytes
from frostline.training.settings import mosaic_warning
from frostline.training.spec import RunSpec
from frostline.training.teacher import hears_nothing, open_teacher
from frostline.training.threads import lower_workers

logger = logging.getLogger(__name__)


Built = tuple[nn.Module, Transfer]


@dataclass(frozen=True)
class Prepared:
    """A run that can start.

    Attributes:
        freezes: what each stage freezes.
        transfer: what the model got from its checkpoint.
        parameters: of the model.
        disk_bytes: the disk it will fill, about.
        imgsz: image size as trained: what was asked for, rounded up to a multiple of the model's stride.
        warnings: what its user should know.
        pixels: of its dataset.
        teacher: fingerprint of the teacher's checkpoint, or None without one.
        images: of train and val together.
    """

    freezes: tuple[Freeze, ...]
    transfer: Transfer
    parameters: int
    disk_bytes: int
    imgsz: int
    warnings: tuple[str, ...] = field(default=())
    pixels: PixelFormat = EIGHT_BITS
    teacher: str | None = None
    images: int = 0


@dataclass(frozen=True)
class CheckedData:
    """A dataset whose files and labels were checked."""

    dataset: Dataset
    labels: LabelSummary
    pixels: PixelFormat = EIGHT_BITS


def check_data(data: str | Path) -> CheckedData:
    """Read a data.yaml and every label, and look at the ends of every image.

    Raises:
        InputError: see `datasets.load_dataset`, `datasets.check_labels`, `datasets.headers.check_images` and
            `datasets.pixel_format`.
    """
    dataset = load_dataset(data)
    count = sum(len(images) for images in dataset.splits.values())
    if count > 5000:  # a second or more
        logger.info("checking the labels of %d images in %s", count, data)
    stored = check_images([image for images in dataset.splits.values() for image in images])
    if len(stored) > 1:  # of one type, by check_images: 8-bit files, of which OpenCV reads some
        raise InputError(
            f"{dataset.yaml}: OpenCV reads some of its 8-bit TIFFs and not others, so Ultralytics would leave those "
            "out; save all with the same compression, such as LZW"
        )
    return CheckedData(dataset, check_labels(dataset), pixel_format(dataset))


def build_model(spec: RunSpec, names: dict[int, str]) -> tuple[nn.Module, Transfer]:
    """Build a run's model as its trainer will, and count what it got from the checkpoint.

    Args:
        spec: the run.
        names: the dataset's classes.

    Raises:
        InputError: the model or its weights cannot be opened, or are not a detector that is trained here.
    """
    from ultralytics.nn.tasks import DetectionModel

    name, weights = spec.start
    located = locate_model(name)
    source: nn.Module | None = None
    config: Any
    if located.endswith(".pt"):
        source = open_checkpoint(located, spec.trust)
        check_trainable(source, name)
        config = source.yaml
    else:
        config = read_model_yaml(located)
        if "RTDETRDecoder" in str(config.get("head")):
            raise InputError(
                f"{name}: RT-DETR cannot be trained here yet, Ultralytics trains it with another trainer; "
                "`frostline layers` shows it"
            )
    if weights is not None:
        source = open_checkpoint(locate_model(weights), spec.trust)
    with hushed():
        with building(name):
            model = DetectionModel(config, ch=3, nc=len(names), verbose=False)
        check_trainable(model, name)
        if spec.settings.get("cls_remap", True):
            model.names = names
        if source is not None:
            model.load(source, verbose=False)
    transfer = count_transfer(model, source, weights or name)
    return model, transfer if spec.pretrain is None or spec.pretrained else _foreseen(model, transfer)


def _built_once(spec: RunSpec, names: dict[int, str], built: dict[Any, Built]) -> Built:
    """Build a run's model, or take the one of an earlier run that is the same; it is looked at and not changed."""
    foreseen = spec.pretrain is not None and not spec.pretrained
    key = (spec.start, tuple(names.items()), spec.trust, foreseen, spec.settings.get("cls_remap", True))
    if key not in built:
        built[key] = build_model(spec, names)
    return built[key]


def _foreseen(model: nn.Module, transfer: Transfer) -> Transfer:
    """Say what will have trained once the model is pretrained, which is still to come: its backbone, at the most."""
    backbone = select("backbone", model)
    fresh = frozenset(name for name in transfer.fresh if name not in backbone)
    source = transfer.source or "the pretraining that is still to come"
    return Transfer(transfer.loaded + len(transfer.fresh) - len(fresh), transfer.total, fresh, source)


def prepare(spec: RunSpec, data: CheckedData, folder: Path, built: dict[Any, Built] | None = None) -> Prepared:
    """Check a run against its model, its data and the disk, before anything is written.

    Args:
        spec: the run.
        data: from `check_data`.
        folder: where the run will go.
        built: models that were built before, filled in, so that runs that start from the same one share it.

    Raises:
        InputError: see `build_model`, `open_teacher`, `freezing.BoundStage` and `room.check_disk`; or weights in
            which nothing fits the model.
    """
    model, transfer = _built_once(spec, data.dataset.names, {} if built is None else built)
    if transfer.source is not None and transfer.loaded == 0:
        raise InputError(f"{spec.weights}: not one tensor fits {spec.model}; are they of the same family and size?")
    teacher = open_teacher(spec.teacher, model, spec.model, spec.trust) if spec.teacher is not None else None
    stages = spec.plan.with_epochs(int(spec.settings["epochs"])).stages
    # Only the first stage can meet fresh tensors: each later one starts from a whole checkpoint of the one before.
    freezes = tuple(
        BoundStage(model, stage, transfer.fresh if number == 0 else (), spec.plan.freeze_fresh).freeze(0)
        for number, stage in enumerate(stages)
    )
    check_features(spec.settings, freezes, layer_roles(model).count("backbone"), teacher=teacher is not None)
    parameters = sum(p.numel() for p in model.parameters())
    buffers = momentum_buffers(str(spec.settings["optimizer"]))
    needed = run_bytes(parameters, buffers, spec.exact_resume) * len(stages)
    check_disk(folder, needed)
    imgsz, note = rounded_imgsz(int(spec.settings["imgsz"]), model)
    notes = [note] if note else []
    for number, stage in enumerate(stages, 1):
        assert stage.epochs is not None
        warning = mosaic_warning(spec.settings, stage.epochs)
        if warning:
            notes.append(warning if len(stages) == 1 else f"stage {number}: {warning}")
    notes += _data_notes(spec, data)
    for number, stage in enumerate(stages, 1):
        few = few_steps(spec, len(data.dataset.train), stage.epochs or 0)
        if few:
            notes.append(few if len(stages) == 1 else f"stage {number}: {few}")
    workers = spec.settings.get("workers")
    if workers is not None and lower_workers(int(workers)) < int(workers):
        notes.append(f"workers={workers} is more than this machine's cores: lowered to {lower_workers(int(workers))}")
    if spec.teacher is not None:
        deaf = [number for number, freeze in enumerate(freezes, 1) if hears_nothing(stages[number - 1], freeze)]
        which = "" if len(stages) == 1 else f"in stage {', '.join(map(str, deaf))} "
        if deaf:
            notes.append(
                f"the teacher changes nothing {which}in the model: its features are compared with those that the head "
                "takes, and no layer before the head trains"
            )
    if freezes[0].kept_fresh:
        notes.append(_fresh_note(freezes[0]))
    images = len(data.dataset.train) + len(data.dataset.val)
    return Prepared(freezes, transfer, parameters, needed, imgsz, tuple(notes), data.pixels, teacher, images)


FEW_STEPS = 30
"""Optimizer steps below which a stage is told that it hardly trains."""


def few_steps(spec: RunSpec, images: int, epochs: int) -> str | None:
    """Say so where a stage has few optimizer steps.

    Ultralytics gathers gradients over `nbs / batch` batches before it steps (64 images by default).

    Args:
        spec: the run.
        images: training images.
        epochs: of the stage.
    """
    batch, nbs = int(spec.settings["batch"]), int(spec.settings.get("nbs", 64))
    gathered = max(round(nbs / batch), 1)
    steps = math.ceil(images / batch) * epochs // gathered
    if steps >= FEW_STEPS:
        return None
    return (
        f"only about {steps} optimizer steps (nbs={nbs} gathers {gathered} batches for each): good for a trial, not "
        "for results; train longer, or set nbs to the batch size"
    )


def _data_notes(spec: RunSpec, data: CheckedData) -> list[str]:
    notes, dataset = list(data.labels.notes), data.dataset
    both = len(set(dataset.train) & set(dataset.val))
    if both:
        notes.append(f"{both} images are in both train and val: the metrics measure memory, not detection")
    images = [*dataset.train, *dataset.val]
    replaced = pictures_replaced(images) if spec.settings.get("cache") != "disk" else []
    if replaced:
        notes.append(
            f"{len(replaced)} images have a .npy file beside them, such as {replaced[0].with_suffix('.npy')}: "
            "Ultralytics reads it in place of the image; move it elsewhere unless it is its own cache"
        )
    return notes


def describe_pixels(pixels: PixelFormat) -> str:
    """Say how images of more than 8 bits are taken: what nobody would notice if it were wrong."""
    light = {
        "linear": "linear light",
        "srgb": "sRGB encoded",
        "log": "logarithms of light" + (" from {:g} to {:g}".format(*pixels.log_range) if pixels.log_range else ""),
    }[pixels.encoding]
    return f"{pixels.kind} images, {light}: {pixels.low:g} becomes 0 and {pixels.high:g} becomes 1"


def _fresh_note(freeze: Freeze) -> str:
    return (
        f"{len(freeze.kept_fresh)} tensors in frozen layers did not come from the checkpoint whole and stay trainable: "
        f"{shorten(freeze.kept_fresh)} (--freeze-fresh freezes them too)"
    )


def shorten(names: Iterable[str], most: int = 6) -> str:
    """Join names, at most `most` of them."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
