"""The cost of a run, estimated from one real batch that is loaded, trained on and validated against a clock."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from frostline.datasets.exact import to_unit
from frostline.freezing import Freeze, apply_freeze, put_batchnorms_in_eval
from frostline.probing.images import training_batch
from frostline.training.arithmetic import choose_arithmetic
from frostline.training.folding import fused_copy
from frostline.training.machine import MemoryPeak, hushed, use_all_cores
from frostline.training.network import follow_freeze, make_cheaper
from frostline.training.preparing import CheckedData, Prepared, build_model
from frostline.training.spec import RunSpec
from frostline.training.teacher import distilling, student_of


@dataclass(frozen=True)
class BatchCost:
    """One training batch, measured.

    Attributes:
        load_seconds: reading and augmenting it, in this process.
        train_seconds: forward, loss and backward, the teacher's forward included.
        forward_seconds: forward alone, without gradients, as validation does.
        memory: peak resident set of the process, and of the CUDA allocator, bytes.
    """

    load_seconds: float
    train_seconds: float
    forward_seconds: float
    memory: dict[str, int | None]


@dataclass(frozen=True)
class RunCost:
    """What a run will cost, about. An estimate from one batch, not a measurement of the run.

    Attributes:
        stage_hours: hours of each stage, validation included.
        disk_bytes: what its folder will hold.
        memory_bytes: peak memory: of the CUDA device if there is one, else of the process.
        batch: the measured batch of the first stage.
    """

    stage_hours: tuple[float, ...]
    disk_bytes: int
    memory_bytes: int
    batch: BatchCost

    @property
    def hours(self) -> float:
        """Hours of all stages together."""
        return sum(self.stage_hours)


def time_batch(spec: RunSpec, data: CheckedData, freeze: Freeze, device: str) -> BatchCost:
    """Load one training batch as training does, and time a step on it in the run's arithmetic; nothing is saved.

    One step runs first to warm up and is not counted; the median of up to three more is taken.

    Args:
        spec: the run.
        data: its dataset.
        freeze: what its stage freezes.
        device: `cpu`, `mps` or a GPU's number.
    """
    target = torch.device(f"cuda:{device}" if device.isdigit() else device)
    if target.type == "cpu":
        use_all_cores()
    arithmetic = choose_arithmetic(spec.settings, device, deep=data.pixels.deep, teacher=spec.teacher is not None)
    memory = MemoryPeak(device)
    memory.start()
    with hushed():
        model, _ = build_model(spec, data.dataset.names)
        loader = training_batch(spec, data, model)
        started = time.perf_counter()
        batch = loader()
        load_seconds = time.perf_counter() - started
        model.to(target)
        apply_freeze(model, freeze)
        batch = {k: v.to(target) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        batch["img"] = to_unit(batch["img"], data.pixels)
        if arithmetic.channels_last:
            model.to(memory_format=torch.channels_last)
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        make_cheaper(model, arithmetic)
        taught = model if spec.teacher is None else distilling(model, spec.teacher)
        train_seconds = _timed(lambda: _step(taught, freeze, batch), target)
        validated = fused_copy(model) if arithmetic.fused_validation else model.eval()
        forward_seconds = _timed(lambda: _forward(validated, batch["img"]), target)
    return BatchCost(load_seconds, train_seconds, forward_seconds, memory.read())


def _timed(work: Any, device: torch.device) -> float:
    """Return the median seconds of up to three calls after one to warm up; long ones are timed once."""
    seconds: list[float] = []
    while len(seconds) < 4 and sum(seconds) < 20:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:] or seconds)


def _step(model: nn.Module, freeze: Freeze, batch: dict[str, Any]) -> None:
    model.train()
    put_batchnorms_in_eval(student_of(model), freeze)
    follow_freeze(student_of(model))
    loss, _ = model(batch)
    loss.sum().backward()
    model.zero_grad(set_to_none=True)


@torch.no_grad()
def _forward(model: nn.Module, images: torch.Tensor) -> None:
    model(images)


def estimate_run(
    spec: RunSpec,
    data: CheckedData,
    prepared: Prepared,
    device: str,
    measured: dict[tuple[str, ...], BatchCost] | None = None,
) -> RunCost:
    """Estimate a run from one timed batch for each of its stages.

    Training batches, loading in this process, and validation batches are counted; start-up, checkpoints and plots are
    not. Loader processes of a GPU run hide the loading.

    Args:
        spec: the run.
        data: its dataset.
        prepared: from `training.prepare`.
        device: `cpu`, `mps` or a GPU's number.
        measured: batches timed before, by model, dataset, teacher and what was frozen; filled in, so that arms share
            them.
    """
    measured = {} if measured is None else measured
    batch_size = int(spec.settings["batch"])
    train_batches = math.ceil(len(data.dataset.train) / batch_size)
    val_batches = math.ceil(len(data.dataset.val) / batch_size)
    hours, costs = [], []
    for stage, freeze in zip(spec.plan.stages, prepared.freezes, strict=True):
        key = (spec.model, spec.data, spec.teacher or "", *freeze.frozen)
        if key not in measured:
            measured[key] = time_batch(spec, data, freeze, device)
        cost = measured[key]
        costs.append(cost)
        load = 0.0 if device.isdigit() else cost.load_seconds
        epoch = train_batches * (load + cost.train_seconds) + val_batches * (load + cost.forward_seconds)
        hours.append(epoch * (stage.epochs or 0) / 3600)
    memory = max((cost.memory["cuda_bytes"] or cost.memory["rss_bytes"] or 0) for cost in costs)
    return RunCost(tuple(hours), prepared.disk_bytes, memory, costs[0])
