"""SLURM's answers, read; the jobs of a study, remembered; and no run handed in twice."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from frostline.errors import InputError
from frostline.studies.claims import Claims
from frostline.studies.executors import Order
from frostline.studies.executors.slurm import SUBMITTING, SlurmExecutor, SlurmHandle
from frostline.studies.executors.slurmfile import SlurmSettings
from frostline.studies.executors.slurmqueue import (
    JobState,
    QueueError,
    Submissions,
    ask,
    cancel,
    parse_sacct,
    parse_squeue,
)

SQUEUE = """\
12_0|RUNNING|frostline-depth|node3|None
12_1|PENDING|frostline-depth||Resources
12_2|PENDING|frostline-depth||(null), launch | failed
12_3|COMPLETING|frostline-depth|node[1-2]|None
12_4|OUT_OF_MEMORY|frostline-depth|node3|OutOfMemory

slurm_load_jobs: something else
"""


def put(folder: Path, name: str, script: str) -> None:
    """Write a program: SLURM's answers, without SLURM."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    for name in ("squeue", "sacct", "scancel"):  # in place of SLURM's own, where it is installed
        put(folder, name, 'echo "not expected" >&2; exit 9')
    return folder


def test_squeue_is_read_a_job_a_line() -> None:
    jobs = parse_squeue(SQUEUE)
    assert list(jobs) == ["12_0", "12_1", "12_2", "12_3", "12_4"]
    assert [str(job) for job in jobs.values()] == [
        "job 12_0 is running on node3",
        "job 12_1 is pending (Resources)",
        "job 12_2 is pending ((null), launch | failed)",
        "job 12_3 is completing on node[1-2]",
        "job 12_4 ended: out of memory on node3",
    ]
    assert [job.active for job in jobs.values()] == [True, True, True, True, False]
    assert [job.waiting for job in jobs.values()] == [False, True, True, False, False]


def test_sacct_is_read_a_job_a_line() -> None:
    jobs = parse_sacct("7_0|CANCELLED by 1000|frostline-depth|None assigned\n7_1|TIMEOUT|frostline-depth|n1\n7_[2-9]\n")
    assert jobs["7_0"] == JobState("7_0", "CANCELLED", "frostline-depth")
    assert str(jobs["7_1"]) == "job 7_1 ended: timeout on n1" and len(jobs) == 2


def test_slurm_is_asked_once_for_an_array_and_sacct_for_what_it_forgot(programs: Path) -> None:
    put(programs, "squeue", f'echo "$@" >> {programs}/calls; echo "12_0|RUNNING|frostline-depth|n1|None"')
    put(programs, "sacct", 'echo "12_1|FAILED|frostline-depth|n2"')
    assert {job: state.state for job, state in ask({"12_0", "12_1"}).items()} == {"12_0": "RUNNING", "12_1": "FAILED"}
    calls = (programs / "calls").read_text().splitlines()
    assert len(calls) == 1 and "--jobs=12 " in calls[0]
    put(programs, "squeue", 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1')
    put(programs, "sacct", 'echo "Slurm accounting storage is disabled" >&2; exit 1')
    assert ask({"12_0"}) == {}


def test_a_slurm_that_cannot_be_asked_is_not_one_without_jobs(programs: Path) -> None:
    put(programs, "squeue", 'echo "Unable to contact slurm controller" >&2; exit 1')
    with pytest.raises(QueueError, match="squeue: Unable to contact slurm controller"):
        ask({"12"})
    put(programs, "scancel", 'echo "scancel: error: Access denied" >&2; exit 1')
    with pytest.raises(QueueError, match="Access denied"):
        cancel(["12"])
    (programs / "squeue").unlink()
    if not any(Path(folder, "squeue").exists() for folder in ("/usr/bin", "/bin")):
        with pytest.raises(QueueError, match="there is no squeue on this machine"):
            ask({"12"})


def test_a_number_that_slurm_gave_to_another_job_is_not_ours(programs: Path, tmp_path: Path) -> None:
    put(programs, "squeue", f"cat <<'END'\n{SQUEUE}END")
    submissions = Submissions(tmp_path / "study")
    submissions.write("baseline/seed0", "12_0", "frostline-depth")
    submissions.write("freeze.1/seed10", "12_1", "frostline-other")
    assert set(submissions.read()) == {"baseline/seed0", "freeze.1/seed10"}
    assert set(submissions.states()) == {"baseline/seed0"}


class Arrays:
    """Stands for submitit: notes what it is handed, each time another array."""

    def __init__(self) -> None:
        self.handed: list[list[str]] = []

    def submit_array(self, runs: Sequence[Any]) -> list[Any]:
        self.handed.append([run.order.label for run in runs])
        return [SimpleNamespace(job_id=f"{len(self.handed)}_{index}") for index in range(len(runs))]


class TestExecutor:
    @pytest.fixture
    def made(self, programs: Path, tmp_path: Path) -> tuple[SlurmExecutor, Arrays]:
        pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")
        for name in ("sbatch", "srun"):
            put(programs, name, "exit 1")
        study = tmp_path / "study"
        put(programs, "squeue", f"cat {programs}/queue")
        put(programs, "sacct", "exit 1")
        (programs / "queue").write_text("")
        executor = SlurmExecutor(study, "depth", SlurmSettings(time="5"), every=0.0)
        arrays = Arrays()
        executor._submitit = arrays
        return executor, arrays

    @staticmethod
    def order(executor: SlurmExecutor, seed: int) -> Order:
        return Order(executor.folder, "baseline", seed, executor.folder / "baseline" / f"seed{seed}", epochs=3)

    def look(self, executor: SlurmExecutor, seeds: Sequence[int]) -> list[SlurmHandle]:
        handles = [executor.submit(self.order(executor, seed)) for seed in seeds]
        executor.flush()
        return handles

    def test_runs_are_handed_in_together_and_only_once(
        self, made: tuple[SlurmExecutor, Arrays], programs: Path
    ) -> None:
        executor, arrays = made
        first = self.look(executor, [0, 1])
        assert arrays.handed == [["baseline/seed0", "baseline/seed1"]] and [one.job for one in first] == ["1_0", "1_1"]
        (programs / "queue").write_text("1_0|RUNNING|frostline-depth|n1|None\n1_1|PENDING|frostline-depth||Priority\n")
        assert [one.state for one in first] == ["running", "waiting"]
        again = self.look(executor, [0, 1, 2])
        assert arrays.handed[1:] == [["baseline/seed2"]]
        assert [(one.job, one.known) for one in again] == [("1_0", True), ("1_1", True), ("2_0", False)]
        # a job that ended without its run is handed in again
        (programs / "queue").write_text("1_0|FAILED|frostline-depth|n1|None\n2_0|PENDING|frostline-depth||Priority\n")
        assert self.look(executor, [0])[0].job == "3_0"

    def test_a_run_that_a_process_carries_out_is_not_handed_in(self, made: tuple[SlurmExecutor, Arrays]) -> None:
        executor, arrays = made
        claim = Claims(executor.folder).take("baseline/seed0")
        handle = self.look(executor, [0])[0]
        assert arrays.handed == [] and handle.taken and handle.state == "taken"
        claim.release()

    def test_nothing_is_handed_in_while_slurm_cannot_be_asked(
        self, made: tuple[SlurmExecutor, Arrays], programs: Path
    ) -> None:
        executor, arrays = made
        self.look(executor, [0])
        put(programs, "squeue", 'echo "Unable to contact slurm controller" >&2; exit 1')
        with pytest.raises(InputError, match="Unable to contact slurm controller; nothing was submitted"):
            self.look(executor, [0])
        assert len(arrays.handed) == 1 and Claims(executor.folder).holder(SUBMITTING) is None

    def test_two_at_once_hand_each_run_in_once(self, made: tuple[SlurmExecutor, Arrays], programs: Path) -> None:
        executor, arrays = made
        other = SlurmExecutor(executor.folder, "depth", SlurmSettings(time="5"), every=0.0)
        other._submitit = self.queueing(arrays, programs)
        executor._submitit = other._submitit
        threads = [threading.Thread(target=self.look, args=(one, [0, 1])) for one in (executor, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert arrays.handed == [["baseline/seed0", "baseline/seed1"]]

    @staticmethod
    def queueing(arrays: Arrays, programs: Path) -> Any:
        """Return a submitit whose jobs squeue then shows."""

        def submit_array(runs: Sequence[Any]) -> list[Any]:
            jobs = arrays.submit_array(runs)
            lines = [f"{job.job_id}|PENDING|frostline-depth||Priority\n" for job in jobs]
            (programs / "queue").write_text("".join(lines))
            return jobs

        return SimpleNamespace(submit_array=submit_array)

    def test_a_job_that_vanished_fails_its_run_with_what_slurm_says(
        self, made: tuple[SlurmExecutor, Arrays], programs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executor, _ = made
        handle = self.look(executor, [0])[0]
        (programs / "queue").write_text("1_0|OUT_OF_MEMORY|frostline-depth|n1|OutOfMemory\n")
        assert handle.state == "running"  # its record may be on its way still
        monkeypatch.setattr("frostline.studies.executors.slurm.SETTLE_SECONDS", -1.0)
        assert handle.state == "failed"
        assert handle.reason == f"job 1_0 ended: out of memory on n1; see {handle.log}"
        handle.order.folder.mkdir(parents=True)
        (handle.order.folder / "run.json").write_text(json.dumps({"status": "finished"}))
        assert handle.state == "finished" and handle.reason is None
