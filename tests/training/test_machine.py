from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from frostline import InputError
from frostline.training.machine import (
    MemoryPeak,
    busy_words,
    choose_device,
    describe_device,
    hushed,
    load_average,
    loader_workers,
    use_all_cores,
)
from frostline.training.power import powering_off
from frostline.training.room import check_disk, momentum_buffers, run_bytes
from frostline.training.threads import asked_threads, lower_workers, usable_cpus, usable_threads


def test_every_usable_core_computes() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    use_all_cores()
    assert torch.get_num_threads() == usable_threads() <= usable_cpus() == len(os.sched_getaffinity(0))
    torch.set_num_threads(before)


CHOSEN = """
import frostline.training, ultralytics, torch
from frostline.training.machine import describe_device, use_all_cores
torch.set_num_threads(7)
use_all_cores()
print(torch.get_num_threads(), describe_device("cpu"), sep=";")
"""


@pytest.mark.parametrize(("asked", "before"), [("1", ""), (None, ""), ("500", ""), ("1", "import ultralytics")])
def test_the_users_omp_num_threads_holds_and_the_one_that_ultralytics_sets_does_not(
    asked: str | None, before: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if asked and not before:
        environment["OMP_NUM_THREADS"] = asked
    code = f"{before}\n{CHOSEN}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    threads, described = done.stdout.strip().split(";")
    limited = asked == "1" and not before and usable_cpus() > 1
    assert int(threads) == (1 if limited else usable_cpus())
    assert ("1 thread (OMP_NUM_THREADS)" in described) == limited


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_an_affinity_is_not_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(whole)})
        assert usable_threads(None) == usable_threads(8) == 1 and lower_workers(8) == 1
    finally:
        os.sched_setaffinity(0, whole)
    assert usable_threads(None) == len(whole) and usable_threads(1) == 1


@pytest.mark.parametrize(
    ("value", "after", "threads"),
    [("4", False, 4), ("4,2", False, 4), ("4", True, 4), ("1", False, 1), ("1", True, None), ("", False, None),
     ("0", False, None), ("many", False, None)],
)  # fmt: skip
def test_what_omp_num_threads_says(value: str, after: bool, threads: int | None) -> None:
    assert asked_threads({"OMP_NUM_THREADS": value}, after) == threads
    assert asked_threads({}, after) is None


def test_a_machine_that_is_busy_with_other_work_is_told_and_our_own_load_is_not() -> None:
    assert busy_words(1.9, 0.0, 2) is None and busy_words(None, 0.0, 2) is None
    assert busy_words(3.5, 2.0, 2) is None, "a study's second run finds the load of its first"
    told = busy_words(3.5, 0.1, 2)
    assert told is not None and "load 3.5 on 2 cores" in told and "epoch seconds" in told
    load = load_average()
    assert load is None or load >= 0


def test_no_loader_processes_on_a_cpu_unless_named() -> None:
    assert loader_workers(None, "cpu") == loader_workers(None, "mps") == loader_workers(0, "0") == 0
    assert loader_workers(1, "cpu") == 1 and loader_workers(None, "0") == lower_workers(8)


def test_warnings_go_to_standard_error_while_ultralytics_is_hushed(capsys: pytest.CaptureFixture[str]) -> None:
    from ultralytics.utils import LOGGER

    handler = logging.StreamHandler(sys.stdout)
    LOGGER.addHandler(handler)
    try:
        with hushed():
            LOGGER.warning("careful")
            LOGGER.info("chatter")
        assert handler.stream is sys.stdout
    finally:
        LOGGER.removeHandler(handler)
    out, err = capsys.readouterr()
    assert "careful" not in out and "careful" in err and "chatter" not in out + err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_cpu_is_chosen_and_named() -> None:
    assert choose_device(None) == choose_device("") == choose_device("cpu") == "cpu"
    assert f"{usable_cpus()} cores" in describe_device("cpu")
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


def test_a_bad_input_at_the_start_powers_nothing_off_and_a_late_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frostline.training import power

    mark = Mark(tmp_path)
    with pytest.raises(InputError), powering_off("always", lambda _: True, mark.command):
        raise InputError("a typing error")
    assert mark.count == 0
    monkeypatch.setattr(power, "_AT_ONCE", 0.0)
    with pytest.raises(InputError), powering_off("always", lambda _: True, mark.command):
        raise InputError("hours later")
    assert mark.count == 1


@pytest.mark.parametrize(
    ("command", "message"), [("no-such-command -h", "no command 'no-such-command'"), ("off 'now", "cannot be read")]
)
def test_a_command_that_cannot_power_off_is_told_before_the_work(command: str, message: str) -> None:
    with pytest.raises(InputError, match=message), powering_off("success", lambda _: True, command):
        raise AssertionError("the work must not start")


def test_a_shutdown_that_did_not_work_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with powering_off("success", lambda _: True, "sh -c 'exit 3'"):
        pass
    assert "ended with status 3: this machine may stay on" in caplog.text


def test_no_means_no_and_off_means_off(tmp_path: Path) -> None:
    mark = Mark(tmp_path)
    with pytest.raises(InputError, match="nothing was started"), powering_off("success", lambda _: False, mark.command):
        raise AssertionError("the work must not start")
    with powering_off(None, lambda _: False, mark.command):
        pass
    with pytest.raises(InputError, match="expected --shutdown"), powering_off("maybe", lambda _: True, mark.command):
        pass
    assert mark.count == 0
