"""A run shared by several processes: what reaches them, what they decide together, what comes back. Without a GPU, gloo
stands for NCCL (see `two_processes`)."""

from __future__ import annotations

import json
import os
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
from frostline.errors import InputError, StoppedError
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
        tiny_checkpoint, tiny_data, fl.FreezePlan.first(3), project=tmp_path, name="two", device="cpu",
        observer=Observer(), **{**SETTINGS, "epochs": 2},
    )  # fmt: skip
    checks = {check["name"]: check for check in record(run, "audit.json")["checks"]}
    assert run.audit_passed
    assert checks["processes agree"]["detail"] == "2 processes ended with the same parameters"
    assert [line for line in told if line in ("1/2", "2/2")] == ["1/2", "2/2"]
    assert len((run.folder / "results.csv").read_text().splitlines()) == 3
    before, after = saved_tensors(tiny_checkpoint, trust=True), saved_tensors(run.folder / "weights/last.pt", trust=True)
    same = {name for name in after if name in before and torch.equal(before[name].half(), after[name].half())}
    layer = lambda name: int(name.split(".")[1])  # noqa: E731
    assert all(name in same for name in after if layer(name) < 3)
    assert not all(name in same for name in after if layer(name) >= 3)
    assert record(run)["peak_memory"]["rss_bytes"] > 2**27
