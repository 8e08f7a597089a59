from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from frostline import InputError
from frostline.training.machine import (
    MemoryPeak,
    check_disk,
    choose_device,
    describe_device,
    lower_workers,
    momentum_buffers,
    run_bytes,
    usable_cpus,
    use_all_cores,
)
from frostline.training.power import powering_off


def test_every_usable_core_computes() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    use_all_cores()
    assert torch.get_num_threads() == usable_cpus() == len(os.sched_getaffinity(0))
    torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_cpu_is_chosen_and_named() -> None:
    assert choose_device(None) == choose_device("") == choose_device("cpu") == "cpu"
    assert describe_device("cpu").endswith(f"{usable_cpus()} cores")
    for wrong in ("0", "cuda:1", "cuda"):
        with pytest.raises(InputError, match="no GPU that torch can use"):
            choose_device(wrong)


def test_workers_never_exceed_the_cores() -> None:
    assert lower_workers(40) == usable_cpus() and lower_workers(0) == 0 and lower_workers(-1) == 0


def test_the_peak_is_that_of_this_work_and_not_of_earlier_work() -> None:
    big = np.ones(60_000_000)
    del big
    memory = MemoryPeak("cpu")
    memory.start()
    base = memory.read()["rss_bytes"]
    held = np.ones(30_000_000)
    del held
    peak = memory.read()["rss_bytes"]
    assert base is not None and peak is not None
    if Path("/proc/self/clear_refs").exists():
        assert 200_000_000 < peak - base < 400_000_000


def test_a_full_disk_is_told_in_mebibytes(tmp_path: Path) -> None:
    check_disk(tmp_path / "a" / "b", 1)
    with pytest.raises(InputError, match=r"MiB are needed and .* MiB are free"):
        check_disk(tmp_path, 2**60)


def test_a_runs_disk_counts_optimizer_state() -> None:
    assert momentum_buffers("SGD") == 1 and momentum_buffers("AdamW") == momentum_buffers("NAdam") == 2
    assert run_bytes(10**7, 2) - run_bytes(10**7, 1) == 2 * 10**7 * 4


class Mark:
    """A stand-in for the command that powers off: it appends to a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "mark"
        self.command = f"sh -c 'echo off >> \"{self.file}\"'"

    @property
    def count(self) -> int:
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0


def test_power_goes_off_once_after_success_and_not_after_failure(tmp_path: Path) -> None:
    mark = Mark(tmp_path)
    with powering_off("success", lambda _: True, mark.command):
        assert mark.count == 0
    assert mark.count == 1
    with pytest.raises(RuntimeError), powering_off("success", lambda _: True, mark.command):
        raise RuntimeError
    with powering_off("success", lambda _: True, mark.command) as note_failure:
        note_failure()
    assert mark.count == 1


def test_always_means_after_a_failure_too_but_never_after_ctrl_c(tmp_path: Path) -> None:
    mark = Mark(tmp_path)
    with pytest.raises(RuntimeError), powering_off("always", lambda _: True, mark.command):
        raise RuntimeError
    assert mark.count == 1
    with pytest.raises(KeyboardInterrupt), powering_off("always", lambda _: True, mark.command):
        raise KeyboardInterrupt
    assert mark.count == 1


def test_no_means_no_and_off_means_off(tmp_path: Path) -> None:
    mark = Mark(tmp_path)
    with pytest.raises(InputError, match="nothing was started"), powering_off("success", lambda _: False, mark.command):
        raise AssertionError("the work must not start")
    with powering_off(None, lambda _: False, mark.command):
        pass
    with pytest.raises(InputError, match="expected --shutdown"), powering_off("maybe", lambda _: True, mark.command):
        pass
    assert mark.count == 0
