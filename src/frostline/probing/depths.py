"""What freezing each depth saves: time of a step, activation memory, trainable parameters, all measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from frostline.freezing import (
    FreezePlan,
    apply_freeze,
    find_layers,
    layer_roles,
    put_batchnorms_in_eval,
    resolve_freeze,
)

ROUNDS = 3
"""Times that every depth is timed, in turn, so that a busy moment of the machine does not fall on one of them."""
BUDGET_SECONDS = 20.0
"""No further round begins after this time."""
USUAL = (0, 3, 4, 5, 6)


@dataclass(frozen=True)
class DepthCost:
    """One training step with the leading layers frozen, measured.

    Attributes:
        depth: leading layers frozen.
        step_seconds: forward, loss and backward of one batch, median.
        activation_bytes: what autograd keeps from forward for backward, parameters left out.
        trainable: parameters that train, fresh ones of frozen layers included.
    """

    depth: int
    step_seconds: float
    activation_bytes: int
    trainable: int


def sensible_depths(model: nn.Module) -> tuple[int, ...]:
    """Return depths worth comparing in a model: 0, 3, 4, 5, 6, its backbone, and all but the head."""
    roles = layer_roles(model)
    backbone = roles.count("backbone")
    return tuple(sorted({*(d for d in USUAL if d < backbone), backbone, len(roles) - 1}))


def measure_depths(
    model: nn.Module,
    batch: dict[str, Any],
    depths: Sequence[int],
    fresh: Sequence[str],
    after: Callable[[], None] = lambda: None,
) -> tuple[DepthCost, ...]:
    """Take real training steps, without an optimizer, with each depth frozen.

    Args:
        model: a copy: its BatchNorm statistics and flags are changed.
        batch: Ultralytics' training batch on the model's device, images in [0, 1].
        depths: leading layers frozen, each below the number of layers.
        fresh: tensors that stay trainable whatever is frozen.
        after: called once for each depth in each of `ROUNDS` rounds, timed or not.
    """
    freezes = {d: resolve_freeze(model, FreezePlan.first(d).stages[0], fresh) for d in depths}
    held = {storage_of(t) for t in (*find_layers(model).parameters(), *find_layers(model).buffers())}
    seconds: dict[int, list[float]] = {d: [] for d in depths}
    kept: dict[int, int] = {}
    began = time.perf_counter()
    for number in range(ROUNDS):
        late = number > 0 and time.perf_counter() - began > BUDGET_SECONDS
        for depth, freeze in freezes.items():
            if not late:
                model.train()
                apply_freeze(model, freeze)
                put_batchnorms_in_eval(model, freeze)
                if number == 0:  # counted in a step of its own, which also warms up
                    kept[depth] = _saved_bytes(model, batch, held)
                seconds[depth].append(_timed_step(model, batch))
            after()
    return tuple(DepthCost(d, statistics.median(seconds[d]), kept[d], freezes[d].trainable_count) for d in depths)


def storage_of(tensor: torch.Tensor) -> int:
    """Return the address of the memory behind a tensor, which its views share."""
    return tensor.untyped_storage().data_ptr()


def _timed_step(model: nn.Module, batch: dict[str, Any]) -> float:
    device = batch["img"].device
    started = time.perf_counter()
    loss, _ = model(batch)
    loss.sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    took = time.perf_counter() - started
    model.zero_grad(set_to_none=True)
    return took


def _saved_bytes(model: nn.Module, batch: dict[str, Any], held: set[int]) -> int:
    """Count the memory that backward needs and forward would otherwise free."""
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if storage_of(tensor) not in held:
            saved[storage_of(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    # Kept alive until after the forward pass, so that no address is given out twice.
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, _ = model(batch)
    total = sum(saved.values())
    loss.sum().backward()
    model.zero_grad(set_to_none=True)
    return total
