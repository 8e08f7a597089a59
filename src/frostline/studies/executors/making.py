"""The executor that a place names."""

from __future__ import annotations

from pathlib import Path

import torch

from frostline.errors import InputError
from frostline.studies.executors.base import Executor
from frostline.studies.executors.choosing import Place
from frostline.studies.executors.processes import ProcessExecutor
from frostline.studies.executors.ray import RayExecutor, RaySettings
from frostline.studies.executors.slurm import SlurmExecutor
from frostline.studies.executors.slurmfile import SlurmSettings
from frostline.studies.executors.slurmscript import check_device, slurm_settings
from frostline.training.machine import choose_device
from frostline.training.threads import usable_cpus


def make_executor(
    place: Place,
    folder: Path,
    device: str | None,
    *,
    name: str = "study",
    ray: RaySettings | None = None,
    slurm: SlurmSettings | None = None,
) -> Executor:
    """Make the executor of a place other than `here`.

    Args:
        place: where to.
        folder: the study's.
        device: as asked for; several, such as `0,1`, are dealt out.
        name: the study's.
        slurm: what jobs ask for.
        ray: how runs are placed on a Ray cluster.

    Raises:
        InputError: a device that is not there, or an extra that is not installed.
    """
    if place.kind == "processes":
        devices = deal(device)
        count = place.count or (max(usable_cpus() // 2, 1) if devices == ["cpu"] else len(devices))
        return ProcessExecutor(count, devices)
    if place.kind == "ray":
        return RayExecutor(ray or RaySettings(), folder, device)
    if place.kind == "slurm":
        check_device(device)
        return SlurmExecutor(folder, name, slurm_settings(slurm))
    raise InputError(f"on: {place.kind}: not built")


def deal(device: str | None) -> list[str]:
    """Return the devices that runs are dealt: those asked for, else every GPU, else the CPU.

    Raises:
        InputError: one of them is not there.
    """
    if device is None and torch.cuda.is_available():
        return [str(number) for number in range(torch.cuda.device_count())]
    return [choose_device(one) for one in (device.split(",") if device else [None])]
