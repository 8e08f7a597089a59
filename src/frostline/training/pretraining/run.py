"""One pretraining, read top to bottom: plan it, look for it, check the images, let lightly-train work, keep it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from frostline.errors import InputError
from frostline.files import write_json
from frostline.freezing import describe_indices
from frostline.training.machine import (
    check_disk,
    choose_device,
    describe_device,
    loader_workers,
    run_bytes,
    usable_threads,
    versions,
)
from frostline.training.pretraining import worker
from frostline.training.pretraining.cache import (
    CHECKPOINT,
    RECORD,
    Kept,
    content_key,
    lightly_version,
    locked,
    need_lightly,
)
from frostline.training.pretraining.images import ImageSet, Progress, Readable, check_readable, copy_deep, survey
from frostline.training.pretraining.settings import Pretraining
from frostline.training.pretraining.start import PretrainError, Start, finish, open_start, save_start

LOG = "lightly.log"
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
        readable: what decoding them told.
        cache: folder of pretrained checkpoints.
    """

    settings: Pretraining
    model: str
    start: Start
    images: ImageSet
    readable: Readable
    cache: Path

    @cached_property
    def folder(self) -> Path:
        """Where the result is kept, named by everything that decides it."""
        digests = dict(zip(self.images.paths, self.images.digests, strict=True))
        formats = {digests[path]: pixels for path, pixels in self.readable.deep.items()}
        key = content_key(self.settings, self.start.digest, self.images.key, formats, lightly_version() or "none")
        return self.cache / key

    @property
    def kept(self) -> Kept | None:
        """The result, where it is there already."""
        return Kept.open(self.folder)

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
    start = open_start(model, weights, settings.seed, trust)
    readable = check_readable(found, settings.data or data, _counting("images decoded", on_step))
    planned = Planned(settings, model, start, found, readable, cache)
    _ = planned.folder  # the teacher's weights are read for it
    return planned


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
    kept = planned.kept
    if kept is None:
        with locked(planned.cache / f".{planned.folder.name}.lock"):
            kept = planned.kept or _carry_out(planned, chosen, lightly, say, on_step)
            if "new" in kept.record:
                del kept.record["new"]
                return kept
    say(f"pretrained already: {kept.checkpoint} ({planned.describe()})")
    return kept


def _carry_out(planned: Planned, device: str, lightly: str, say: Say, on_step: OnStep | None) -> Kept:
    parameters = sum(p.numel() for p in planned.start.module.parameters())
    copies = sum(path.stat().st_size for path in planned.readable.deep)
    check_disk(planned.cache, 2 * run_bytes(parameters, 2) + copies)
    say(f"pretraining {planned.model}: {planned.describe()}, on {describe_device(device)}")
    for line in planned.readable.describe():
        say(line)
    work = planned.cache / f".{planned.folder.name}.part"
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    work.mkdir(parents=True)
    started = time.perf_counter()
    readable = copy_deep(planned.images, planned.readable, work / "images", _counting("8-bit copies", on_step))
    save_start(planned.start, work / "start.pt")
    epochs = planned.settings.epochs
    job = _job(planned, readable, work.absolute(), device)
    losses = _work(job, work.absolute(), epochs, planned, on_step)
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
        "conversion": list(planned.readable.describe()),
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
    return Kept(planned.folder, {**record, "new": True})


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


def _work(job: dict[str, Any], work: Path, epochs: int, planned: Planned, on_step: OnStep | None) -> list[float]:
    """Let lightly-train work in a process of its own; return the loss of every epoch."""
    environment = {
        **os.environ,
        "LIGHTLY_TRAIN_EVENTS_DISABLED": "1",  # it would tell its makers that a training began
        "LIGHTLY_TRAIN_DATA_CACHE_DIR": str(work / "lists"),
        "LIGHTLY_TRAIN_TMP_DIR": str(work / "lists"),
        "NO_ALBUMENTATIONS_UPDATE": "1",  # it would ask the network for a newer version of itself
        "OMP_NUM_THREADS": str(job["threads"]),
        "MPLBACKEND": "Agg",
        "TQDM_MININTERVAL": "10",  # its bar goes to a file
    }
    command = [sys.executable, "-m", worker.__name__, str(work / "job.json")]
    with (work / LOG).open("w", encoding="utf-8") as log:
        # a session of its own, so that Ctrl-C is dealt with here
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if on_step:
                    on_step("epochs", len(_losses(work)), epochs)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    losses = _losses(work)
    if process.returncode != 0 or not (work / worker.RESULT).is_file():
        raise _failure(work, planned, process.returncode)
    if len(losses) < epochs:
        raise PretrainError(
            f"lightly-train stopped after {len(losses)} of {epochs} epochs, as the loss was no number any more; try a "
            f"lower learning rate or a larger batch; see {work / LOG}"
        )
    return losses


def _losses(work: Path) -> list[float]:
    """Read the loss of each epoch from lightly-train's metrics, which may be written to just now."""
    try:
        lines = (work / "lightly" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "train_loss" in row and "epoch" in row:
            found[int(row["epoch"])] = float(row["train_loss"])
    return [found[epoch] for epoch in sorted(found)]


def _failure(work: Path, planned: Planned, status: int) -> Exception:
    """Tell in one line why lightly-train ended."""
    try:
        told = json.loads((work / worker.ERROR).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {"kinds": [], "type": "", "message": f"it ended with status {status}"}
    message, settings = " ".join(str(told["message"]).split())[:300], planned.settings
    if "Could not identify backbone" in message:
        return InputError(
            f"{planned.model}: lightly-train finds no backbone in this model; it takes YOLOv5u, v6, v8, 11, 12 and 26"
        )
    if settings.method == "distillation":
        name = settings.teacher or "lightly-train's own teacher"
        if settings.teacher_weights is None and {"OSError", "ConnectionError", "TimeoutError"} & set(told["kinds"]):
            return InputError(
                f"{name}: not on this disk, and the download failed ({message}); give teacher and teacher_weights, a "
                "file, or use method simclr"
            )
        if any(word in message for word in ("Unknown model", "available models", "Error(s) in loading state_dict")):
            return InputError(f"teacher {name}: {message}")
    return PretrainError(f"lightly-train failed ({told['type']}: {message}); see {work / LOG}")


def _counting(what: str, on_step: OnStep | None) -> Progress | None:
    return (lambda done, total: on_step(what, done, total)) if on_step else None
