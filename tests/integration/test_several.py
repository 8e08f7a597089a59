"""A run shared by several processes: what reaches them, what they decide together, what comes back. Without a GPU, gloo
stands for NCCL (see `two_processes`)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from tiny import SETTINGS
from two_processes import TwoScheduled, TwoStage

import frostline as fl
from frostline.errors import StoppedError
from frostline.training.checkpoints import saved_tensors
from frostline.training.record import LoggingObserver

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.training.stage.StageTrainer", TwoStage)
    monkeypatch.setattr("frostline.training.stage.ScheduledTrainer", TwoScheduled)


def record(run: fl.Run, name: str = "run.json") -> dict[str, Any]:
    return dict(json.loads((run.folder / name).read_text()))


@pytest.mark.usefixtures("two")
def test_the_plan_reaches_both_processes_and_the_audit_comes_back(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    told: list[str] = []

    class Observer(LoggingObserver):
        def say(self, line: str) -> None:
            told.append(line)

        def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
            told.append(f"{done}/{total}")

    run = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.select("0-1,2.cv1,4"), project=tmp_path, name="two", device="cpu",
        observer=Observer(), **{**SETTINGS, "epochs": 2},
    )  # fmt: skip
    checks = {check["name"]: check for check in record(run, "audit.json")["checks"]}
    assert run.audit_passed
    assert checks["processes agree"]["detail"] == "2 processes ended with the same parameters"
    assert [line for line in told if line in ("1/2", "2/2")] == ["1/2", "2/2"]
    assert len((run.folder / "results.csv").read_text().splitlines()) == 3
    before, after = (saved_tensors(path, trust=True) for path in (tiny_checkpoint, run.folder / "weights" / "last.pt"))
    parameters = [name for name in after if name in before and not name.endswith("num_batches_tracked")]
    same = {name for name in parameters if torch.equal(before[name].half(), after[name].half())}
    frozen = {name for name in parameters if name.startswith(("0.", "1.", "2.cv1.", "4."))}
    assert frozen and frozen <= same and len(same) < len(parameters)
    assert record(run)["peak_memory"]["rss_bytes"] > 2**27


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    "plan",
    [
        fl.FreezePlan.gradual(every=1, by="role"),
        fl.FreezePlan.adaptive(percentile=95, patience=1),
    ],
    ids=["gradual", "adaptive"],
)
def test_what_is_frozen_after_the_model_was_wrapped_holds_in_both(
    plan: fl.FreezePlan, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    run = fl.train(
        tiny_checkpoint, tiny_data, plan, project=tmp_path, name="x", device="cpu",
        **{**SETTINGS, "epochs": 4, "lr0": 0.05},
    )  # fmt: skip
    audit = record(run, "audit.json")
    assert run.audit_passed, [check for check in audit["checks"] if not check["passed"]]
    assert "2 processes ended with the same parameters" in [check["detail"] for check in audit["checks"]]
    assert record(run, "progress.json")["decisions"]


@pytest.mark.usefixtures("two")
def test_one_that_was_killed_goes_on_and_leaves_no_process(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """SIGKILL of the run's process: those that it started end by themselves."""
    words = [str(tiny_checkpoint), str(tiny_data), str(tmp_path)]
    driver = subprocess.Popen([sys.executable, str(Path(__file__).with_name("two_processes.py")), *words])
    folder = tmp_path / "killed"
    deadline = time.time() + 300
    while not (folder / "progress.json").exists() and time.time() < deadline and driver.poll() is None:
        time.sleep(0.2)
    assert driver.poll() is None
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert len(children) >= 3 and not alive
    run = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.first(3), project=tmp_path, name="killed", device="cpu",
        **{**SETTINGS, "epochs": 15},
    )  # fmt: skip
    assert run.audit_passed and record(run, "progress.json")["resumed_at"]
    assert len((run.folder / "results.csv").read_text().splitlines()) == 16


@pytest.mark.usefixtures("two")
def test_the_error_of_a_process_ends_the_run_in_one_line(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROSTLINE_TEST_BREAK", "1")
    with pytest.raises(StoppedError, match="out of memory"):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, name="broken", device="cpu", **SETTINGS)
    broken = json.loads((tmp_path / "broken" / "run.json").read_text())
    assert broken["status"] == "failed" and "out of memory" in broken["reason"]


@pytest.mark.usefixtures("two")
def test_interrupted_it_keeps_the_last_epoch_and_leaves_no_process(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    class Interrupting(LoggingObserver):
        def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
            self.children = [child for child in psutil.Process().children(recursive=True) if child not in others]
            raise KeyboardInterrupt

    others = psutil.Process().children(recursive=True)  # of tests before this one, in the same process
    observer, settings = Interrupting(), {**SETTINGS, "epochs": 40}
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, name="x", device="cpu", observer=observer, **settings)
    assert len(observer.children) >= 3 and not psutil.wait_procs(observer.children, timeout=1)[1]
    assert json.loads((tmp_path / "x" / "run.json").read_text())["status"] == "interrupted"
    assert (tmp_path / "x" / "weights" / "last.pt").is_file()
