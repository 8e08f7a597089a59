"""The machine a run is on: its device, threads, memory and versions."""

from __future__ import annotations

import gc
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from frostline.errors import InputError
from frostline.training.threads import lower_workers, usable_cpus, usable_threads


def choose_device(device: str | None = None) -> str:
    """Return the device to use: what was asked for, else the first GPU, else the CPU.

    Args:
        device: `cpu`, `0`, `cuda:1`, `mps`, or None.

    Raises:
        InputError: a GPU that is not there, or several at once.
    """
    found = choose_devices(device)
    if "," in found:
        raise InputError(f"device {device}: this takes one device; several GPUs can share a run that trains by itself")
    return found


def choose_devices(device: str | None = None) -> str:
    """Return the device, or the GPUs, that one run trains on: what was asked for, else the first GPU, else the CPU.

    Args:
        device: as in `choose_device`, or several GPUs: `0,1`.

    Raises:
        InputError: a GPU that is not there, one that is named twice, or several devices that are no GPUs.
    """
    if device is None or not str(device).strip():
        return "0" if torch.cuda.is_available() else "cpu"
    text = str(device).strip().lower().removeprefix("cuda:")
    if text == "cuda":
        text = "0"
    if "," in text:
        several = [choose_devices(part) for part in text.split(",") if part.strip()]
        if not all(one.isdigit() for one in several) or len(set(several)) < len(several):
            raise InputError(f"device {device}: expected the numbers of GPUs, each once")
        return ",".join(several)
    if text.isdigit():
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(text) >= count:
            have = f"GPUs 0 to {count - 1}" if count else "no GPU that torch can use"
            raise InputError(f"device {device}: this machine has {have}; use --device cpu or leave it out")
    elif text not in {"cpu", "mps"}:
        raise InputError(f"device '{device}': expected cpu, mps or the number of a GPU")
    elif text == "mps" and not torch.backends.mps.is_available():
        raise InputError("device mps: not available on this machine")
    return text


def first_device(device: str) -> str:
    """Return the first of several devices, which evaluates and measures; one alone is it."""
    return device.split(",", maxsplit=1)[0]


def describe_device(device: str) -> str:
    """Name a device: the GPU's name and memory, or the processor's and its usable cores; several are joined."""
    if "," in device:
        return " and ".join(map(describe_device, device.split(",")))
    if device.isdigit():
        card = torch.cuda.get_device_properties(int(device))
        return f"cuda:{device} {card.name}, {card.total_memory / 2**30:.0f} GiB"
    if device == "mps":
        return f"mps {platform.processor() or platform.machine()}"
    threads = usable_threads()
    fewer = f", {threads} thread{'s' * (threads != 1)} (OMP_NUM_THREADS)" if threads < usable_cpus() else ""
    return f"cpu {_processor()}, {usable_cpus()} cores{fewer}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def use_all_cores() -> None:
    """Let torch compute with every core it may use: Ultralytics leaves one out, each time it picks a device."""
    torch.set_num_threads(usable_threads())


@contextmanager
def quick_collections() -> Iterator[None]:
    """Keep what is in memory now out of garbage collections while the block runs.

    Ultralytics collects garbage in every run, and each time looks at the million objects that imports have made.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def load_average() -> float | None:
    """Return how many threads of the whole machine wanted a core in the last minute; None where nothing tells."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):  # not on Windows
        return None


def busy_warning() -> str | None:
    """Say so where other work keeps the cores busy already: times measured then are not those of the machine."""
    process = psutil.Process()
    used = process.cpu_times()
    own = sum((used.user, used.system, used.children_user, used.children_system))
    return busy_words(load_average(), own / max(time.time() - process.create_time(), 60.0), usable_cpus())


def busy_words(load: float | None, own: float, cores: int) -> str | None:
    """Word the warning of `busy_warning`; None where there is nothing to warn of.

    Args:
        load: the load average of the last minute.
        own: cores that this process has kept busy on average, which an earlier run in it would have.
        cores: that this process may use.
    """
    if load is None or load - own <= cores:
        return None
    return f"the machine is busy with other work (load {load:.1f} on {cores} cores): epoch seconds will mislead"


def loader_workers(workers: Any, device: str) -> int:
    """Return the loader processes that a run uses.

    Args:
        workers: what the user named, or None: then Ultralytics' default, which is none on a CPU.
        device: `cpu`, `mps`, a GPU's number, or several: then it is the number for each.
    """
    if workers is None and device in {"cpu", "mps"}:
        return 0
    from ultralytics.utils import DEFAULT_CFG_DICT

    processes = device.count(",") + 1
    wanted = int(DEFAULT_CFG_DICT["workers"] if workers is None else workers)
    return min(wanted, lower_workers(wanted * processes) // processes)


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    import numpy
    import torchvision
    import ultralytics

    import frostline

    return {
        "frostline": frostline.__version__,
        "ultralytics": ultralytics.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": numpy.__version__,
        "cuda": torch.version.cuda or "",
        "python": sys.version.split()[0],
        "platform": platform.platform(),
    }


@contextmanager
def hushed() -> Iterator[None]:
    """Keep Ultralytics from printing anything but warnings while the block runs, and those to standard error.

    Its progress bars follow its log. Standard output is for what a command was asked for, which may be JSON.
    """
    from ultralytics.utils import LOGGER

    before, out = LOGGER.level, (sys.stdout, sys.__stdout__)
    streams = [(h, h.stream) for h in LOGGER.handlers if isinstance(h, logging.StreamHandler) and h.stream in out]
    LOGGER.setLevel(logging.WARNING)
    for handler, _ in streams:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        LOGGER.setLevel(before)
        for handler, stream in streams:
            handler.setStream(stream)


class MemoryPeak:
    """Peak memory since `start`: resident set of this process, and what the CUDA allocator gave out.

    On Linux the kernel's high-water mark is reset at the start, so that a run is not charged for an earlier one in the
    same process; elsewhere the peak is the largest of the samples taken.
    """

    def __init__(self, device: str) -> None:
        self.cuda = int(device) if device.isdigit() else None
        self._sampled = 0
        self._kernel = False
        self._elsewhere: dict[str, int | None] = {}

    def start(self) -> None:
        """Start counting."""
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self._kernel = True
        except OSError:
            self._kernel = False
        self._sampled = psutil.Process().memory_info().rss
        if self.cuda is not None:
            torch.cuda.reset_peak_memory_stats(self.cuda)

    def sample(self) -> None:
        """Look at the resident set now."""
        self._sampled = max(self._sampled, psutil.Process().memory_info().rss)

    def read(self) -> dict[str, int | None]:
        """Return `rss_bytes` and `cuda_bytes` (None without a CUDA device)."""
        self.sample()
        peak = self._sampled
        if self._kernel:
            for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
        cuda = torch.cuda.max_memory_allocated(self.cuda) if self.cuda is not None else None
        here = {"rss_bytes": peak, "cuda_bytes": cuda}
        return {key: max(value or 0, self._elsewhere.get(key) or 0) or None for key, value in here.items()}

    def include(self, other: dict[str, int | None]) -> None:
        """Count what another process read: the larger of both is the peak."""
        self._elsewhere = {key: max(value or 0, self._elsewhere.get(key) or 0) or None for key, value in other.items()}
