"""One pretraining, read top to bottom: plan it, look for it, check the images, let lightly-train work, keep it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from frostline.datasets import PixelFormat
from frostline.errors import InputError
from frostline.files import locked, write_json
from frostline.freezing import describe_indices
from frostline.training.machine import choose_device, describe_device, loader_workers, versions
from frostline.training.pretraining import worker
from frostline.training.pretraining.cache import (
    CHECKPOINT,
    RECORD,
    Kept,
    content_key,
    lightly_version,
    need_lightly,
)
from frostline.training.pretraining.images import (
    ImageSet,
    Progress,
    check_readable,
    copy_deep,
    describe_formats,
    pixel_formats,
    survey,
)
from frostline.training.pretraining.process import LOG, carry_out_job
from frostline.training.pretraining.settings import Pretraining
from frostline.training.pretraining.start import Start, finish, open_start, save_start
from frostline.training.room import check_disk, run_bytes
from frostline.training.threads import usable_threads
from frostline.training.vetting import vet_checkpoint

CACHE = Path("runs/pretrain")
Say = Callable[[str], None]
OnStep = Callable[[str, int, int], None]
"""Called with (what is counted, how many are done, how many in all)."""


@dataclass(frozen=True)
class Planned:
    """A pretraining that can start: everything that it could stumble over has been looked at.

    Attributes:
        settings: what is asked for.
        model: name of the model, for messages and the record.
        start: the model.
        images: what to pretrain on.
        formats: of those that lightly-train needs 8-bit copies of.
        span: the lowest and the highest value in those of more than 8 bits, if they were decoded.
        cache: folder of pretrained checkpoints.
    """

    settings: Pretraining
    model: str
    start: Start
    images: ImageSet
    formats: dict[Path, PixelFormat]
    span: tuple[float, float] | None
    cache: Path

    @cached_property
    def folder(self) -> Path:
        """Where the result is kept, named by everything that decides it."""
        return self.cache / _content_key(self.settings, self.start, self.images, self.formats)

    @property
    def kept(self) -> Kept | None:
        """The result, where it is there already."""
        return Kept.open(self.folder)

    @property
    def conversion(self) -> tuple[str, ...]:
        """What is converted and how, in words."""
        return describe_formats(self.formats, self.span)

    def describe(self) -> str:
        """Say what it is: `simclr, 100 epochs at 224 px, batch 64, on 80 images of DIR`."""
        return f"{self.settings.describe()}, on {len(self.images.paths)} images of {self.images.root}"


def pretrain(
    model: str | Path,
    images: str | Path,
    *,
    method: str = "simclr",
    epochs: int = 100,
    imgsz: int = 224,
    batch: int = 64,
    seed: int = 0,
    lr: float | None = None,
    weights: str | Path | None = None,
    teacher: str | None = None,
    teacher_weights: str | Path | None = None,
    data: str | Path | None = None,
    cache: str | Path = CACHE,
    device: str | None = None,
    trust: bool = False,
    say: Say | None = None,
) -> Path:
    """Pretrain a detector's backbone on images without labels, or find that it was done.

    Args:
        model: checkpoint or model YAML, by path or official name.
        images: folder of images; 8 bits, uint16 or float32.
        method: `simclr` or `distillation`; see `Pretraining` for this and what follows.
        epochs: over all images.
        imgsz: side of the crops, pixels.
        batch: images a step.
        seed: of every generator.
        lr: learning rate; None takes the method's own.
        weights: checkpoint that a model YAML starts from.
        teacher: lightly-train's name of the teacher of `distillation`.
        teacher_weights: the teacher's weights, as a file.
        data: data.yaml whose `pixels:` says what images of more than 8 bits mean.
        cache: folder of pretrained checkpoints, named by content.
        device: `cpu`, `mps` or a GPU's number; by default the first GPU, else the CPU.
        trust: open checkpoints without the restricted loader.
        say: told what happens, line by line.

    Returns:
        The checkpoint of a detector that `train` and plain Ultralytics load.

    Raises:
        InputError: see `plan`; or lightly-train is not installed, cannot take this model, or has no teacher.
        PretrainError: lightly-train failed, or its result cannot be used.

    Example:
        >>> fl.train(fl.pretrain("yolo11s.pt", "thermal/"), "data.yaml", fl.FreezePlan.first(3))  # doctest: +SKIP
    """
    values = {
        "method": method, "images": str(images), "epochs": epochs, "imgsz": imgsz, "batch": batch, "seed": seed,
        "lr": lr, "teacher": teacher, "teacher_weights": teacher_weights and str(teacher_weights),
        "data": data and str(data),
    }  # fmt: skip
    need_lightly()
    settings = Pretraining.parse({k: v for k, v in values.items() if v is not None}, "pretrain")
    planned = plan(settings, str(model), str(weights) if weights is not None else None, cache=Path(cache), trust=trust)
    return carry_out(planned, device, say or (lambda _text: None)).checkpoint


def plan(
    settings: Pretraining,
    model: str,
    weights: str | None = None,
    *,
    data: str | None = None,
    cache: Path = CACHE,
    trust: bool = False,
    on_step: OnStep | None = None,
) -> Planned:
    """Check a pretraining against its model and its images, before anything is written.

    Args:
        settings: what is asked for.
        model: checkpoint or model YAML.
        weights: checkpoint that a model YAML starts from.
        data: data.yaml for the pixel format where the settings name none.
        cache: folder of pretrained checkpoints.
        trust: open checkpoints without the restricted loader.
        on_step: see `OnStep`.

    Raises:
        InputError: the model is no detector that is trained here; the folder holds no images, fewer than a batch, or
            some that cannot be read; or the teacher's weights are not there.
    """
    found = survey(settings.images, _counting("images hashed", on_step))
    count = len(found.paths)
    if count < settings.batch:
        has = f"only {count} image{'s' * (count != 1)}"
        hint = f"set batch to {count} or fewer, or add images" if count > 1 else "add images, at least two"
        raise InputError(f"{found.root}: {has}, fewer than a batch of {settings.batch}; {hint}")
    if settings.teacher_weights is not None and not trust and Path(settings.teacher_weights).is_file():
        vet_checkpoint(Path(settings.teacher_weights))  # lightly-train opens it, in a process of its own
    start = open_start(model, weights, settings.seed, trust)
    formats = pixel_formats(found, settings.data or data)
    span = None
    if Kept.open(cache / _content_key(settings, start, found, formats)) is None:
        span = check_readable(found, formats, _counting("images decoded", on_step))
    return Planned(settings, model, start, found, formats, span, cache)


def carry_out(planned: Planned, device: str | None, say: Say, on_step: OnStep | None = None) -> Kept:
    """Pretrain, or say that it was done before.

    A pretraining that was killed starts anew. What another process is doing already is waited for.

    Args:
        planned: from `plan`.
        device: see `pretrain`.
        say: told what happens, line by line.
        on_step: see `OnStep`.

    Raises:
        InputError: lightly-train is not installed, cannot take this model, or cannot get its teacher; or the disk is
            too full.
        PretrainError: lightly-train failed, or its result cannot be used.
    """
    lightly = need_lightly()
    chosen = choose_device(device)
    if planned.kept is None:
        with locked(planned.cache / f".{planned.folder.name}.lock"):
            if planned.kept is None:  # no other process made it while this one waited
                return _carry_out(planned, chosen, lightly, say, on_step)
    kept = planned.kept
    assert kept is not None
    say(f"pretrained already: {kept.checkpoint} ({planned.describe()})")
    return kept


def _carry_out(planned: Planned, device: str, lightly: str, say: Say, on_step: OnStep | None) -> Kept:
    parameters = sum(p.numel() for p in planned.start.module.parameters())
    copies = sum(path.stat().st_size for path in planned.formats)
    check_disk(planned.cache, 2 * run_bytes(parameters, 2) + copies)
    say(f"pretraining {planned.model}: {planned.describe()}, on {describe_device(device)}")
    for line in planned.conversion:
        say(line)
    work = planned.cache / f".{planned.folder.name}.part"
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    work.mkdir(parents=True)
    started = time.perf_counter()
    epochs = planned.settings.epochs
    try:
        readable = copy_deep(planned.images, planned.formats, work / "images", _counting("8-bit copies", on_step))
        save_start(planned.start, work / "start.pt")
        job = _job(planned, readable, work.absolute(), device)
        watch = _counting("epochs", on_step)
        losses = carry_out_job(job, work.absolute(), epochs, planned.settings, planned.model, watch)
    except (KeyboardInterrupt, InputError, OSError):
        shutil.rmtree(work, ignore_errors=True)  # after anything else, its log is of use
        raise
    trained = torch.load(work / worker.RESULT, map_location="cpu", weights_only=True)
    result = work / "result"
    changes = finish(planned.start, trained, result / CHECKPOINT)
    record = {
        "schema": 1,
        **planned.settings.to_dict(),
        "model": planned.model,
        "key": planned.folder.name,
        "images_key": planned.images.key,
        "image_count": len(planned.images.paths),
        "conversion": list(planned.conversion),
        "model_changes": changes,
        "loss": {"first": losses[0], "last": losses[-1]},
        "device": describe_device(device),
        "versions": {**versions(), "lightly-train": lightly},
        "wall_seconds": round(time.perf_counter() - started, 3),
    }
    write_json(result / RECORD, record)
    shutil.copyfile(work / LOG, result / LOG)
    result.replace(planned.folder)
    shutil.rmtree(work, ignore_errors=True)
    later = f", {losses[-1]:.4f} in epoch {epochs}" if epochs > 1 else ""
    say(f"loss {losses[0]:.4f} in epoch 1{later}; {record['wall_seconds']:.1f} s")
    changed = tuple(changes["changed_layers"])
    say(f"{changes['changed']} of {changes['tensors']} tensors changed, in layers {describe_indices(changed)}")
    if changes["fresh"]:
        say(f"{len(changes['fresh'])} parameters are still random, and a run will count them as fresh")
    return Kept(planned.folder, record)


def _job(planned: Planned, images: list[Path], work: Path, device: str) -> dict[str, Any]:
    settings = planned.settings
    arguments: dict[str, Any] = {
        "method": settings.method,
        "epochs": settings.epochs,
        "batch_size": settings.batch,
        "seed": settings.seed,
        "num_workers": loader_workers(None, device),
        "accelerator": "gpu" if device.isdigit() else device,
        "devices": [int(device)] if device.isdigit() else 1,
    }
    if settings.lr is not None:
        arguments["optim_args"] = {"lr": settings.lr}
    teacher = {"teacher": settings.teacher, "teacher_weights": settings.teacher_weights}
    if settings.teacher is not None:
        arguments["method_args"] = {key: value for key, value in teacher.items() if value is not None}
    job = {
        "model": str(work / "start.pt"),
        "images": [str(path.absolute()) for path in images],
        "imgsz": settings.imgsz,
        "threads": usable_threads(),
        "arguments": arguments,
    }
    write_json(work / "job.json", job)
    return job


def _content_key(settings: Pretraining, start: Start, images: ImageSet, formats: dict[Path, PixelFormat]) -> str:
    digests = dict(zip(images.paths, images.digests, strict=True))
    meant = {digests[path]: pixels for path, pixels in formats.items()}
    return content_key(settings, start.digest, images.key, meant, lightly_version() or "none")


def _counting(what: str, on_step: OnStep | None) -> Progress | None:
    return (lambda done, total: on_step(what, done, total)) if on_step else None
