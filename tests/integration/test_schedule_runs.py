"""Schedules on a real detector: what trains in each epoch, at what rate, and that a kill changes none of it."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import StopAfter
from tiny import SETTINGS

import frostline as fl
from frostline.training.checkpoints import saved_tensors

pytestmark = pytest.mark.integration
SIX = {**SETTINGS, "epochs": 6}
GRADUAL = fl.FreezePlan.gradual(every=1, by="role")
PLANS = {
    "gradual": fl.FreezePlan.gradual(every=2, by="role"),
    "freezeout": fl.FreezePlan.freezeout(first=0.5, cubed=False),
    "adaptive": fl.FreezePlan.adaptive(percentile=50, patience=1),
    "decay": fl.FreezePlan.layerwise({"decay": 0.8}),
    "roles": fl.FreezePlan.layerwise({"backbone": 0, "neck": 0.5, "head": 1.0}),
    "rgn": fl.FreezePlan.layerwise("auto"),
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def rates(folder: Path) -> list[list[float]]:
    return [[float(v or 0) for key, v in row.items() if key != "epoch"] for row in rows(folder / "rates.csv")]


def progress(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "progress.json").read_text()))


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        *((name, "SGD") for name in PLANS),
        *((name, other) for name in ("gradual", "decay") for other in ("AdamW", "MuSGD")),
    ],
)
def test_every_schedule_runs_and_passes_its_audit(
    name: str, optimizer: str, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    run = fl.train(
        tiny_checkpoint, tiny_data, PLANS[name], project=tmp_path, name=name, device="cpu", optimizer=optimizer, **SIX
    )
    audit = json.loads((run.folder / "audit.json").read_text())
    assert run.audit_passed, [check for check in audit["checks"] if not check["passed"]]
    assert len(rows(run.folder / "results.csv")) == len(rates(run.folder)) == 6
    assert len({len(row) for row in rows(run.folder / "results.csv")}) == 1
    assert run.record["freeze_depth"] is None


def test_what_thaws_moves_and_what_is_frozen_does_not(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Stop before the first thaw and after it, and compare the checkpoints."""
    before = saved_tensors(tiny_checkpoint)
    with pytest.raises(KeyboardInterrupt):
        fl.train(
            tiny_checkpoint, tiny_data, PLANS["gradual"], project=tmp_path, name="g", device="cpu",
            observer=StopAfter(2), **SIX,
        )  # fmt: skip
    held = saved_tensors(tmp_path / "g" / "weights" / "last.pt")
    assert all(torch.equal(held[n].half(), before[n].half()) for n in before if int(n.split(".")[0]) < 10)
    run = fl.train(tiny_checkpoint, tiny_data, PLANS["gradual"], project=tmp_path, name="g", device="cpu", **SIX)
    after = saved_tensors(run.folder / "weights" / "last.pt")
    backbone = [n for n in before if int(n.split(".")[0]) < 10 and n.endswith("conv.weight")]
    assert all(not torch.equal(after[n].half(), before[n].half()) for n in backbone)
    thaws = [one["thawed"] for one in progress(run.folder)["decisions"]]
    assert len(thaws) == 2 and max(thaws[1]) < min(thaws[0])
    table = rates(run.folder)
    assert all(table[epoch][0] == 0 for epoch in range(4)) and all(table[epoch][0] > 0 for epoch in (4, 5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kill"), [("gradual", 2), ("gradual", 3), ("adaptive", 3), ("rgn", 2), ("freezeout", 4)]
)
def test_a_kill_changes_neither_sets_nor_rates_nor_audit(
    name: str, kill: int, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    whole = fl.train(tiny_checkpoint, tiny_data, PLANS[name], project=tmp_path, name="whole", device="cpu", **SIX)
    with pytest.raises(KeyboardInterrupt):
        fl.train(
            tiny_checkpoint, tiny_data, PLANS[name], project=tmp_path, name="cut", device="cpu",
            observer=StopAfter(kill), **SIX,
        )  # fmt: skip
    with (tmp_path / "cut" / "rates.csv").open("a") as stream:
        stream.write("9,9,9")  # a kill between the row and the checkpoint
    cut = fl.train(tiny_checkpoint, tiny_data, PLANS[name], project=tmp_path, name="cut", device="cpu", **SIX)
    assert cut.audit_passed and whole.audit_passed
    one, two = progress(whole.folder), progress(cut.folder)
    if name in ("gradual", "freezeout"):
        assert rates(whole.folder) == rates(cut.folder)
        assert [(x["first"], x["last"], x["frozen_layers"]) for x in one["intervals"]] == [
            (x["first"], x["last"], x["frozen_layers"]) for x in two["intervals"]
        ]
        names = [[c["name"] for c in json.loads((r.folder / "audit.json").read_text())["checks"]] for r in (whole, cut)]
        assert names[0] == names[1]
    else:
        # A checkpoint is in half precision, so what is measured after a resume differs; decisions before it do not.
        assert rates(whole.folder)[:kill] == rates(cut.folder)[:kill]
        assert [d for d in one["decisions"] if d["epoch"] <= kill] == [
            d for d in two["decisions"] if d["epoch"] <= kill
        ]


def test_a_layer_that_thaws_starts_slowly_with_clean_state(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frostline.training.scheduled import ScheduledTrainer
    from frostline.training.trainer import StageTrainer

    seen: list[tuple[int, list[float], int]] = []
    step = StageTrainer.optimizer_step

    def spy(self: ScheduledTrainer) -> None:
        first = [group for group in self.optimizer.param_groups if group["layer"] == 0 and group["params"]]
        state = sum(p in self.optimizer.state for group in first for p in group["params"])
        seen.append((self.epoch, [group["lr"] for group in first], state))
        step(self)

    monkeypatch.setattr(StageTrainer, "optimizer_step", spy)
    run = fl.train(tiny_checkpoint, tiny_data, GRADUAL, project=tmp_path, name="g", device="cpu", **SIX)
    assert run.audit_passed
    thaw = next(epoch for epoch, lr, _ in seen if lr)
    steps = [(lr[0], state) for epoch, lr, state in seen if epoch == thaw]
    assert len(steps) == 2 and steps[0][1] == 0 and steps[1][1] > 0
    assert steps[0][0] == pytest.approx(steps[1][0] / 2)


def test_a_layer_that_freezes_leaves_the_optimizer_with_all_that_it_had(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frostline.training.scheduled import ScheduledTrainer
    from frostline.training.trainer import StageTrainer

    counts: dict[int, int] = {}
    step = StageTrainer.optimizer_step

    def spy(self: ScheduledTrainer) -> None:
        held = [p for p in self.model.parameters() if not p.requires_grad]
        inside = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        assert all(p.grad is None and p not in self.optimizer.state and id(p) not in inside for p in held)
        counts[self.epoch] = len(held)
        step(self)

    monkeypatch.setattr(StageTrainer, "optimizer_step", spy)
    run = fl.train(tiny_checkpoint, tiny_data, PLANS["freezeout"], project=tmp_path, name="f", device="cpu", **SIX)
    assert run.audit_passed and counts[5] > counts[4] > counts[3] > counts[2]


def test_freezeout_rates_fall_with_every_step(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along the cosine of the paper: layer 0 freezes at half of the 12 steps."""
    from frostline.training.scheduled import ScheduledTrainer
    from frostline.training.trainer import StageTrainer

    seen: list[float] = []
    step = StageTrainer.optimizer_step

    def spy(self: ScheduledTrainer) -> None:
        seen.extend(g["lr"] for g in self.optimizer.param_groups if g["layer"] == 0 and g["param_group"] == "weight"
                    and g["params"])  # fmt: skip
        step(self)

    monkeypatch.setattr(StageTrainer, "optimizer_step", spy)
    plan = fl.FreezePlan.freezeout(first=0.5, cubed=False, scaled=False)
    fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="f", device="cpu", **SIX)
    assert seen == pytest.approx([0.01 * 0.5 * (1 + math.cos(math.pi * number / 6)) for number in range(6)])


def test_fresh_tensors_of_frozen_layers_learn_at_a_rate_above_zero(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay trainable because random weights must not be frozen; a rate of 0 would freeze them all the same."""
    from frostline.training.scheduled import ScheduledTrainer
    from frostline.training.trainer import StageTrainer

    seen: list[float] = []
    step = StageTrainer.optimizer_step

    def spy(self: ScheduledTrainer) -> None:
        seen.extend(group["lr"] for group in self.optimizer.param_groups if group["layer"] == 23 and group["params"])
        step(self)

    monkeypatch.setattr(StageTrainer, "optimizer_step", spy)
    plan = fl.FreezePlan.parse({"freeze": "head", "rates": {"decay": 0.9}})
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="h", device="cpu", **SETTINGS)
    assert len(run.record["kept_fresh"]) == 6 and run.audit_passed
    assert seen and min(seen) > 0
