"""A study as jobs of a real SLURM on this machine: handed in, preempted, requeued, gone on with, cancelled."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slurm_cluster import running_cluster, why_not
from tiny import SETTINGS

import frostline as fl
from frostline.errors import InputError
from frostline.studies.claims import Claims
from frostline.training.progress import Progress

pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")
pytestmark = [pytest.mark.integration, pytest.mark.extra, pytest.mark.slow]
ARMS: dict[str, Any] = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}
EPOCHS = 60
"""So many that SLURM kills a run that goes on regardless before its end, most of the time."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """A cluster of this machine alone, which the commands of this process find."""
    why = why_not()
    if why is not None:
        pytest.skip(why)
    with running_cluster() as env, pytest.MonkeyPatch.context() as patch:
        for name in ("PATH", "SLURM_CONF"):
            patch.setenv(name, env[name])
        yield env


def frostline(*words: object) -> None:
    from frostline.cli import app

    app([str(word) for word in words], standalone_mode=False)


def study_file(folder: Path, checkpoint: Path, data: Path, epochs: int, **slurm: Any) -> Path:
    path = folder / "depth.yaml"
    value = {"model": str(checkpoint), "data": str(data), "train": {**SETTINGS, "epochs": epochs}, "arms": ARMS}
    value["slurm"] = {"time": "30:00", "cpus_per_task": 1, "partition": "main", **slurm}
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def until(holds: Callable[[], bool], project: Path, seconds: float = 150.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        logs = [*project.glob("logs/*/*.log"), *project.glob("submitted/*.out")]
        assert time.monotonic() < ends, "\n".join(f"{log}:\n{log.read_text()[-2000:]}" for log in logs)
        time.sleep(0.1)


def epochs_done(project: Path, arm: str) -> int:
    progress = Progress.load(project / arm / "seed0")
    return 0 if progress is None else len(progress.epoch_seconds)


def status_of(project: Path, arm: str) -> str:
    return str(json.loads((project / arm / "seed0" / "run.json").read_text())["status"])


def queue(what: str = "%i") -> list[str]:
    done = subprocess.run(["squeue", "-h", "-r", "-o", what], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_preempted_study_goes_on_from_its_last_epochs(
    cluster: dict[str, str], tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, disk = tmp_path / "study", tmp_path / "node"
    disk.mkdir()
    path = study_file(
        tmp_path, tiny_checkpoint, tiny_data, epochs=EPOCHS, stage_data=str(disk), setup=["echo set up by $USER_LINE"]
    )
    words = ["study", "run", path, "--project", project, "--device", "cpu", "--on", "slurm"]

    frostline(*words, "--print-sbatch")
    script = capsys.readouterr().out
    assert script.startswith("#!/bin/bash") and "#SBATCH --array=0-1%2\n" in script and not project.exists()
    assert queue() == []

    frostline(*words)
    said = capsys.readouterr().out
    assert "baseline/seed0 is submitted: job " in said and f"frostline study cancel {project}" in said
    jobs = {arm: said.split(f"{arm}/seed0 is submitted: job ")[1].split()[0] for arm in ARMS}
    assert sorted(queue()) == sorted(jobs.values())
    (submitted,) = (file for file in (project / "submitted").glob("*_submission.sh") if not file.is_symlink())
    assert submitted.read_text() == script

    frostline(*words)  # while they are in the queue
    assert f"baseline/seed0 is in the queue already: job {jobs['baseline']}" in capsys.readouterr().out
    assert sorted(queue()) == sorted(jobs.values())

    until(lambda: queue("%T") == ["RUNNING", "RUNNING"], project)
    frostline("study", "status", project)
    node = os.uname().nodename.split(".")[0]
    assert f"baseline/seed0: job {jobs['baseline']} is running on {node}" in capsys.readouterr().out
    # as SLURM does before the time is over, and as it requeues a job on its own when a node is wanted or lost
    for arm, words in (("freeze_1_to_3", ["scontrol", "requeue"]), ("baseline", ["scancel", "--signal=USR2"])):
        until(lambda arm=arm: epochs_done(project, arm) >= 1, project)
        subprocess.run([*words, jobs[arm]], check=True)
    until(lambda: status_of(project, "baseline") == "interrupted", project, 8)  # before SLURM kills what is left
    assert Claims(project).holder("baseline/seed0") is None

    outcome = fl.Study.from_yaml(path, project).run(device="cpu", on="slurm", wait=True)
    assert outcome.complete and len(outcome.finished) == 2
    for run in outcome.finished:
        arm, record = run.record["arm"], run.record
        assert record["audit"] == "PASS" and record["data"] == str(tiny_data.resolve()) and record["threads"] == 1
        resumed = record["stages"][0]["resumed_at"]
        log = (project / "logs" / arm / "seed0.log").read_text()
        assert log.count("requeued 1 times") == 1, log
        if arm == "baseline" or resumed:
            assert len(resumed) == 1 and 1 < resumed[0] <= EPOCHS, log
        else:  # it came to its end before SLURM killed it, which it does a while after SIGTERM
            assert "is finished already" in log
        assert len(run.record["epoch_seconds"]) == EPOCHS
        assert yaml.safe_load((run.folder / "args.yaml").read_text())["data"] == str(tiny_data.resolve())
        assert log.count(f"are read from {disk}/frostline-data-") == 2
    logs = [(project / "logs" / arm / "seed0.log").read_text() for arm in ARMS]
    assert sum(log.count("copying ") for log in logs) == 1 and "requeue" in logs[0].lower()
    assert len(list(disk.iterdir())) == 1
    assert not list((project / "claims").glob("*/*"))
    until(lambda: queue() == [], project, 30)
    assert any("set up by" in file.read_text() for file in (project / "submitted").glob("*.out"))


def test_a_cancelled_study_leaves_the_queue(
    cluster: dict[str, str], tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "study"
    path = study_file(tmp_path, tiny_checkpoint, tiny_data, epochs=500, at_a_time=1)
    frostline("study", "run", path, "--project", project, "--device", "cpu", "--on", "slurm")
    until(lambda: epochs_done(project, "baseline") >= 1, project)
    capsys.readouterr()
    frostline("study", "status", project, "--json")
    told = {one["arm"]: one["job"] for one in json.loads(capsys.readouterr().out)}
    assert told["baseline"]["state"] == "RUNNING" and told["freeze_1_to_3"]["reason"] == "JobArrayTaskLimit"
    frostline("study", "cancel", project)
    said = capsys.readouterr().out
    assert f"cancelled job {told['freeze_1_to_3']['job']}, which was pending" in said
    until(lambda: queue() == [], project, 30)
    assert not list((project / "claims").glob("*/*")) and Claims(project).holder("baseline/seed0") is None
    states = {state.arm: state.status for state in fl.Study.from_yaml(project).states()}
    assert states == {"baseline": "interrupted", "freeze_1_to_3": "waiting"}
    assert (project / "baseline" / "seed0" / "weights" / "last.pt").is_file()


def test_a_job_that_sbatch_refuses_is_one_line(
    cluster: dict[str, str], tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path
) -> None:
    path = study_file(tmp_path, tiny_checkpoint, tiny_data, epochs=2, partition="nowhere")
    with pytest.raises(InputError, match=r"sbatch refused the jobs: .*invalid partition") as caught:
        frostline("study", "run", path, "--project", tmp_path / "study", "--device", "cpu", "--on", "slurm")
    assert "\n" not in str(caught.value) and queue() == []
