"""The memory and the disk that a training takes, worked out before it starts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from frostline.errors import InputError


def held_bytes(parameters: int, optimizer: str) -> int:
    """Return what a training holds from its first step to its last: weights, their average, gradients, optimizer.

    Args:
        parameters: of the model; all are taken to train.
        optimizer: its name.
    """
    return 4 * parameters * (3 + momentum_buffers(optimizer))


def step_bytes(model: nn.Module, batch: int, imgsz: int) -> int:
    """Return what a forward keeps for its backward, in float32, with nothing frozen: let go after every batch.

    It is counted on tensors without content, so nothing is computed.

    Args:
        model: a detector; it is moved to torch's device `meta` and is of no further use.
        batch: images.
        imgsz: pixels.
    """
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # so that no storage's address is used twice

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    model.to("meta").train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(torch.empty(batch, 3, imgsz, imgsz, device="meta"))
    return sum(kept.values())


def free_bytes(device: str) -> int:
    """Return the memory that a process can still get: of a GPU, or of the machine within the process's control group.

    Args:
        device: `cpu`, `mps` or a GPU's number.
    """
    if device.isdigit():
        return int(torch.cuda.mem_get_info(int(device))[0])
    return min([int(psutil.virtual_memory().available), *_group_bytes(Path("/sys/fs/cgroup"))])


def _group_bytes(group: Path) -> list[int]:
    """Return what a control group of Linux leaves, at most one number."""
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        stat: dict[str, Any] = dict(
            line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines()
        )
    except (OSError, ValueError):
        return []
    if not limit.isdigit():
        return []
    return [int(limit) - used + int(stat.get("inactive_file", 0))]  # pages that the kernel gives back


def run_bytes(parameters: int, momentum_buffers: int, exact: bool = False) -> int:
    """Estimate the disk that one run fills.

    Args:
        parameters: of the model; saved in half precision, in last, the one before it, and best.
        momentum_buffers: optimizer values for each parameter (1 for SGD, 2 for Adam), saved in half precision.
        exact: with the side files of `training.exact`: three of them while one is written, each with live weights, EMA,
            gradients and optimizer values in full precision.

    Returns:
        Bytes, with room for the checkpoint being written and 40 MiB for plots and predictions.
    """
    side = 3 * 4 * parameters * (3 + momentum_buffers) if exact else 0
    return 2 * parameters * (1 + momentum_buffers) * 4 + side + 40 * 2**20


def check_disk(folder: Path, needed: int) -> None:
    """Make sure that a folder can be written, and that its disk has room.

    Args:
        folder: may not exist yet.
        needed: bytes.

    Raises:
        InputError: less is free, or the folder may not be written.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if there.is_dir() and not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: may not be written; make it writable or choose another --project")
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"{folder}: {needed / 2**20:,.0f} MiB are needed and {free / 2**20:,.0f} MiB are free; "
            "make room or choose another --project"
        )


def momentum_buffers(optimizer: str) -> int:
    """Optimizer values kept for each parameter: 1 for those with momentum alone, 2 for the Adam family."""
    return 2 if "adam" in optimizer.lower() else 1
