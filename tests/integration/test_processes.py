"""A study in processes of its own: dealt out, watched, killed, cancelled, and driven by two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import SETTINGS

import frostline as fl
from frostline.studies.claims import Claims
from frostline.training import Run

pytestmark = pytest.mark.integration
ARMS: dict[str, Any] = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}


def study_file(folder: Path, checkpoint: Path, data: Path, **train: Any) -> Path:
    path = folder / "depth.yaml"
    value = {"model": str(checkpoint), "data": str(data), "train": {**SETTINGS, "epochs": 2, **train}, "arms": ARMS}
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "frostline", *map(str, words)]


def start(path: Path, project: Path, *more: str) -> subprocess.Popen[str]:
    words = command("study", "run", path, "--project", project, "--device", "cpu", *more)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


def records(project: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.parent.name: json.loads(path.read_text()) for path in project.glob("*/seed0/run.json")}


def test_processes_carry_a_study_out(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    path, project = study_file(tmp_path, tiny_checkpoint, tiny_data), tmp_path / "study"
    looks: list[tuple[str, ...]] = []
    study = fl.Study.from_yaml(path, project)
    outcome = study.run(
        device="cpu", on="processes:2", on_look=lambda standing: looks.append(tuple(one.state for one in standing))
    )
    assert outcome.complete and len(outcome.finished) == 2
    assert ("running", "running") in looks and looks[-1] == ("finished", "finished")
    for arm, record in records(project).items():
        assert record["audit"] == "PASS" and record["threads"] == max(len(os.sched_getaffinity(0)) // 2, 1)
        assert "Training with" in (project / "logs" / arm / "seed0.log").read_text()
    assert not list((project / "claims").glob("*/*"))
    assert study.run(device="cpu", on="processes:2").complete  # nothing is left to do
    # the same study here: where it is carried out is no setting of the study
    assert study.run(device="cpu", on="here").complete


@pytest.mark.slow
def test_a_killed_process_fails_its_run_alone(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    path, project = study_file(tmp_path, tiny_checkpoint, tiny_data, epochs=12), tmp_path / "study"
    process = start(path, project, "--on", "processes:2")
    until((project / "freeze_1_to_3" / "seed0" / "progress.json").is_file)
    holder = Claims(project).holder("freeze_1_to_3/seed0")
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "freeze_1_to_3/seed0 failed: its process was killed (signal 9)" in said
    found = records(project)
    assert found["baseline"]["status"] == "finished"
    states = {state.arm: state.status for state in fl.Study.from_yaml(project).states()}
    assert states == {"baseline": "finished", "freeze_1_to_3": "interrupted"}
    before = found["baseline"]["started"]
    again = start(path, project)
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    found = records(project)
    assert found["baseline"]["started"] == before  # a finished run is not run again
    assert found["freeze_1_to_3"]["audit"] == "PASS" and found["freeze_1_to_3"]["stages"][0]["resumed_at"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cancel", "SIGINT", "SIGTERM"])
def test_a_study_in_processes_stops_when_it_is_told_to(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, how: str
) -> None:
    path, project = study_file(tmp_path, tiny_checkpoint, tiny_data, epochs=500), tmp_path / "study"
    process = start(path, project, "--on", "processes:2")
    until(lambda: all((project / arm / "seed0" / "weights" / "last.pt").is_file() for arm in ARMS))
    began = time.monotonic()
    if how == "cancel":
        done = subprocess.run(command("study", "cancel", project), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "to stop baseline/seed0" in done.stdout
    else:
        process.send_signal(getattr(signal, how))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    if how != "cancel":  # 10 s by construction, and what a busy machine takes to notice
        assert time.monotonic() - began < 20
    assert {record["status"] for record in records(project).values()} == {"interrupted"}
    assert not list((project / "claims").glob("*/*"))
    for arm in ARMS:
        assert (project / arm / "seed0" / "weights" / "last.pt").is_file()


@pytest.mark.slow
def test_two_drivers_never_run_the_same_run_twice(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    path, project = study_file(tmp_path, tiny_checkpoint, tiny_data, epochs=4), tmp_path / "study"
    drivers = [start(path, project), start(path, project)]
    said = [driver.communicate(timeout=400)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    found = records(project)
    assert set(found) == set(ARMS)
    for arm, record in found.items():
        assert record["audit"] == "PASS" and record["stages"][0]["resumed_at"] == []
        log = (project / "logs" / arm / "seed0.log").read_text()
        assert log.count("epoch 1 of 4") == 1 and log.count("epoch 4 of 4") == 1
    assert any("carried out by process" in text for text in said)


def test_logs_are_printed_and_followed(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    path, project = study_file(tmp_path, tiny_checkpoint, tiny_data, epochs=3), tmp_path / "study"
    driver = start(path, project)
    until((project / "logs" / "baseline" / "seed0.log").is_file)
    words = command("study", "logs", project, "baseline", "--follow")
    told = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    driver.communicate(timeout=300)
    assert told.returncode == 0 and "epoch 3 of 3" in told.stdout and "audit PASS" in told.stdout
    wrong = subprocess.run(command("study", "logs", project, "baselin"), capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "did you mean 'baseline/seed0'" in wrong.stderr
    assert Run.open(project / "baseline" / "seed0") is not None
