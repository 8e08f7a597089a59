"""A schedule whose process is killed, or whose loss becomes NaN: what trained when, at what rate, is the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_resume import StopAfter
from test_schedule_runs import progress, rates, rows
from tiny import SETTINGS

import frostline as fl
from frostline.training import AuditError
from frostline.training.checkpoints import saved_tensors

pytestmark = [pytest.mark.integration, pytest.mark.slow]
EIGHT = {**SETTINGS, "epochs": 8}
GRADUAL: dict[str, Any] = {"freeze": "backbone,neck", "unfreeze": {"every": 2, "by": "role"}}
THAWING: dict[str, Any] = {"adaptive": {"percentile": 50, "patience": 1, "thaw": 0.9}}


def stretches(folder: Path) -> list[tuple[int, int, list[int]]]:
    return [(one["first"], one["last"], one["frozen_layers"]) for one in progress(folder)["intervals"]]


def audit(folder: Path) -> list[tuple[str, bool]]:
    return [(c["name"], c["passed"]) for c in json.loads((folder / "audit.json").read_text())["checks"]]


def test_a_process_killed_at_a_random_moment_trains_the_same_layers_at_the_same_rates(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(GRADUAL))
    settings = [f"{key}={value}" for key, value in EIGHT.items()]
    words = [
        sys.executable, "-m", "frostline", "train", str(tiny_checkpoint), str(tiny_data), "--plan", str(plan),
        "--project", str(tmp_path), "--name", "cut", "--device", "cpu", *settings,
    ]  # fmt: skip
    epoch, delay = random.SystemRandom().randrange(1, 8), random.SystemRandom().uniform(0, 0.5)
    moment = f"killed {delay:.2f} s after epoch {epoch} was saved"
    cut = tmp_path / "cut"
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env={**os.environ})
    try:
        while process.poll() is None and _epochs(cut) < epoch:
            time.sleep(0.01)
        time.sleep(delay)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        process.kill()
        process.wait()
    assert json.loads((cut / "run.json").read_text())["status"] == "running", moment
    resumed = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.parse(GRADUAL), project=tmp_path, name="cut", device="cpu", **EIGHT
    )
    whole = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.parse(GRADUAL), project=tmp_path, name="whole", device="cpu", **EIGHT
    )
    assert resumed.record["stages"][0]["resumed_at"], moment
    assert stretches(cut) == stretches(whole.folder), moment
    assert rates(cut) == rates(whole.folder), moment
    assert audit(cut) == audit(whole.folder) and resumed.audit_passed, moment
    assert progress(cut)["decisions"] == progress(whole.folder)["decisions"], moment
    columns = ("epoch", "lr/pg0", "lr/pg1", "lr/pg2")
    assert [[row[key] for key in columns] for row in rows(cut / "results.csv")] == [
        [row[key] for key in columns] for row in rows(whole.folder / "results.csv")
    ], moment


def _epochs(folder: Path) -> int:
    try:
        return len(progress(folder)["epoch_seconds"])
    except (OSError, ValueError, KeyError):
        return 0


@pytest.mark.parametrize("plan", [GRADUAL, THAWING], ids=["gradual", "adaptive"])
def test_a_kill_after_the_last_epoch_audits_every_stretch_from_disk(
    plan: dict[str, Any], tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    parsed = fl.FreezePlan.parse(plan)
    common: dict[str, Any] = {"project": tmp_path, "device": "cpu", **EIGHT}
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, parsed, name="cut", observer=StopAfter(8), **common)
    again = StopAfter(None)
    cut = fl.train(tiny_checkpoint, tiny_data, parsed, name="cut", observer=again, **common)
    assert again.seen == [] and cut.audit_passed
    found = stretches(cut.folder)
    assert len(found) > 1 and found[0][0] == 1
    spans = {name.partition("(")[2] for name, _ in audit(cut.folder) if "(" in name}
    assert len(spans) == len(found) - 1, "all but the last are audited live; the last by its checkpoint"
    assert any(name.startswith("the checkpoint holds") for name, _ in audit(cut.folder))


def test_a_frozen_weight_changed_in_the_last_checkpoint_fails_that_audit(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = fl.FreezePlan.freezeout(first=0.5, cubed=False)
    common: dict[str, Any] = {"project": tmp_path, "name": "cut", "device": "cpu", **EIGHT}
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, plan, observer=StopAfter(8), **common)
    folder = tmp_path / "cut" / "weights"
    (folder / "best.pt").unlink()
    checkpoint = torch.load(folder / "last.pt", weights_only=False)
    checkpoint["ema"].model[0].conv.weight.data.add_(1)
    torch.save(checkpoint, folder / "last.pt")
    with pytest.raises(AuditError):
        fl.train(tiny_checkpoint, tiny_data, plan, **common)


def test_a_loss_that_becomes_nan_goes_back_and_keeps_to_the_schedule(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the epoch of the first thaw, so that the recovery meets another trainable set than the checkpoint's."""
    from frostline.training.scheduled import ScheduledTrainer

    seen: list[int] = []
    validate = ScheduledTrainer.validate

    def once_nan(self: ScheduledTrainer) -> Any:
        if self.epoch == 2 and 2 not in seen:
            self.loss = self.loss * float("nan")
        seen.append(self.epoch)
        return validate(self)

    monkeypatch.setattr(ScheduledTrainer, "validate", once_nan)
    plan = fl.FreezePlan.parse(GRADUAL)
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="nan", device="cpu", **EIGHT)
    assert seen.count(2) == 2, "the epoch was done again"
    monkeypatch.undo()
    whole = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="whole", device="cpu", **EIGHT)
    assert run.audit_passed
    assert stretches(run.folder) == stretches(whole.folder) and rates(run.folder) == rates(whole.folder)
    assert progress(run.folder)["decisions"] == progress(whole.folder)["decisions"]


def test_what_settled_freezes_and_thaws_once_the_rate_has_fallen(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    run = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.parse(THAWING), project=tmp_path, name="a", device="cpu", **EIGHT
    )
    decisions = progress(run.folder)["decisions"]
    assert run.audit_passed
    assert any(one["frozen"] for one in decisions), "nothing settled"
    thawed = [one for one in decisions if one["thawed"]]
    assert thawed and 0 in thawed[0]["thawed"], decisions
    table = rates(run.folder)
    for one in decisions:
        for layer in one["frozen"]:
            assert table[one["epoch"] - 1][layer] == 0
        for layer in one["thawed"]:
            assert table[one["epoch"] - 1][layer] > 0


def test_weights_are_a_signal_too(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    plan = fl.FreezePlan.adaptive(signal="weights", percentile=70, patience=1)
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="w", device="cpu", **EIGHT)
    decisions = progress(run.folder)["decisions"]
    assert run.audit_passed
    assert all("change of the weights" in one["why"] for one in decisions)
    start = saved_tensors(tiny_checkpoint)["0.conv.weight"]
    assert not torch.equal(start, saved_tensors(run.folder / "weights" / "last.pt")["0.conv.weight"])


def test_an_adaptive_run_that_never_froze_says_so_and_is_the_baseline_to_the_bit(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = fl.FreezePlan.adaptive(percentile=1, patience=5)
    common: dict[str, Any] = {"project": tmp_path, "device": "cpu", **{**SETTINGS, "epochs": 3}}
    run = fl.train(tiny_checkpoint, tiny_data, plan, name="a", **common)
    baseline = fl.train(tiny_checkpoint, tiny_data, name="b", **common)
    assert "no layer settled" in " ".join(json.loads((run.folder / "audit.json").read_text())["notes"])
    one, two = (saved_tensors(r.folder / "weights" / "last.pt") for r in (run, baseline))
    assert all(torch.equal(one[name], two[name]) for name in one)
