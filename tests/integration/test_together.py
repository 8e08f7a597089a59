"""Runs in lockstep end with the very weights of runs by themselves."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
import torch
import yaml
from test_resume import StopAfter
from tiny import SETTINGS
from ultralytics.nn.tasks import DetectionModel

import frostline as fl
from frostline.studies.together import group_runs
from frostline.training import trainer as training
from frostline.training.checkpoints import saved_tensors
from frostline.training.preparing import build_model
from frostline.training.room import free_bytes, held_bytes, step_bytes

pytestmark = pytest.mark.integration


def study(folder: Path, checkpoint: Path, data: Path, arms: dict[str, Any], **train: Any) -> fl.Study:
    path = folder / "depth.yaml"
    settings = {**SETTINGS, "epochs": 3, "close_mosaic": 1, **train}
    value = {"model": str(checkpoint), "data": str(data), "train": settings, "arms": arms}
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return fl.Study.from_yaml(path, folder / "study")


class Lines:
    """Takes lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.seconds = 0.0  # of the study in lockstep

    def say(self, text: str) -> None:
        self.lines.append(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        pass


def both(tmp_path: Path, checkpoint: Path, data: Path, arms: dict[str, Any], **train: Any) -> tuple[Path, Path, Lines]:
    lines = Lines()
    for name in ("apart", "together"):
        (tmp_path / name).mkdir()
        one = study(tmp_path / name, checkpoint, data, arms, **train)
        began = time.perf_counter()
        assert one.run(device="cpu", together=name == "together", observer=lines).complete
        lines.seconds = time.perf_counter() - began
    return tmp_path / "apart" / "study", tmp_path / "together" / "study", lines


def assert_same(one: Path, two: Path) -> None:
    for file in ("last.pt", "best.pt"):
        a, b = saved_tensors(one / "weights" / file), saved_tensors(two / "weights" / file)
        assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a), f"{two}: {file}"
    rows = []
    for folder in (one, two):
        with (folder / "results.csv").open() as stream:
            rows.append([{k: v for k, v in row.items() if k != "time"} for row in csv.DictReader(stream)])
        assert all(float(row["train/box_loss"]) > 0 for row in rows[-1])
    assert rows[0] == rows[1]
    assert (one / "gradients.csv").read_text() == (two / "gradients.csv").read_text()
    assert pl.read_parquet(one / "predictions.parquet").equals(pl.read_parquet(two / "predictions.parquet"))
    a, b = (json.loads((folder / "run.json").read_text()) for folder in (one, two))
    assert a["metrics"] == b["metrics"] and a["train_split"] == b["train_split"] and a["seeds"] == b["seeds"]
    assert a["audit"] == b["audit"] == "PASS"


def test_the_same_weights_curves_and_detections(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}, "freeze_1_to_6": {"freeze": "0-5"}}
    apart, together, lines = both(tmp_path, tiny_checkpoint, tiny_data, arms, plots=True)
    for arm in arms:
        assert_same(apart / arm / "seed0", together / arm / "seed0")
    records = [json.loads((together / arm / "seed0" / "run.json").read_text()) for arm in arms]
    assert all(record["together"] == [f"{arm}/seed0" for arm in arms] for record in records)
    assert json.loads((apart / "baseline" / "seed0" / "run.json").read_text())["together"] == []
    # each run counts its own seconds
    assert sum(record["wall_seconds"] for record in records) <= lines.seconds
    for arm, record in zip(arms, records, strict=True):
        with (together / arm / "seed0" / "results.csv").open() as stream:
            time_column = [float(row["time"]) for row in csv.DictReader(stream)]
        assert sum(record["epoch_seconds"]) < record["wall_seconds"] and time_column[-1] < record["wall_seconds"]
        assert abs(sum(record["epoch_seconds"]) - time_column[-1]) < 1.0
    assert any("in lockstep: baseline/seed0, freeze_1_to_3/seed0, freeze_1_to_6/seed0" in line for line in lines.lines)


def test_schedules_and_stages_too(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    gradual = {"stages": [{"epochs": 3, "freeze": "0-1", "unfreeze": {"every": 1}}]}
    arms = {
        "baseline": {}, "gradual": gradual, "freeze_1_to_6": {"freeze": "0-5"},
        "two_stage_3": {"stages": [{"epochs": 1, "freeze": "0-2"}, {"epochs": 2}]},
        "two_stage_6": {"stages": [{"epochs": 1, "freeze": "0-5"}, {"epochs": 2}]},
    }  # fmt: skip
    # 4 batches of 2 an epoch, a step every 3: gradients are gathered across the end of an epoch
    settings: dict[str, Any] = {"batch": 2, "nbs": 6, "warmup_epochs": 2.0, "optimizer": "AdamW", "lr0": 0.002}
    apart, together, lines = both(tmp_path, tiny_checkpoint, tiny_data, arms, **settings)
    for arm in arms:
        assert_same(apart / arm / "seed0", together / arm / "seed0")
    assert [line for line in lines.lines if line.startswith("in lockstep")] == [
        "in lockstep: baseline/seed0, gradual/seed0, freeze_1_to_6/seed0",
        "in lockstep: two_stage_3/seed0, two_stage_6/seed0",
    ]


def spoiled(arm: str, epoch: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give one arm images of NaN in an epoch (from 0) the first time that it gets there; the folders that had them."""
    done: list[str] = []
    real = training.StageTrainer.preprocess_batch

    def spoil(self: training.StageTrainer, batch: dict[str, Any]) -> dict[str, Any]:
        batch, place = real(self, batch), f"{self.save_dir}"
        if arm in place and self.epoch == epoch and done.count(place) < len(self.train_loader):
            done.append(place)
            batch["img"] = batch["img"] * torch.nan
        return batch

    monkeypatch.setattr(training.StageTrainer, "preprocess_batch", spoil)
    return done


@pytest.mark.parametrize("epoch", [1, 2])  # of 4; mosaic closes with the third
def test_an_arm_that_does_an_epoch_again_goes_on_by_itself(
    epoch: int, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = spoiled("freeze_1_to_3", epoch, monkeypatch)
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}, "freeze_1_to_6": {"freeze": "0-5"}}
    apart, together, _ = both(tmp_path, tiny_checkpoint, tiny_data, arms, epochs=4, close_mosaic=2)
    assert len(done) == 4
    for arm in arms:
        assert_same(apart / arm / "seed0", together / arm / "seed0")


def test_an_arm_that_stops_early_or_fails_leaves_the_others(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}, "freeze_1_to_6": {"freeze": "0-5"}}
    (tmp_path / "apart").mkdir()
    (tmp_path / "together").mkdir()
    apart = study(tmp_path / "apart", tiny_checkpoint, tiny_data, arms)
    assert apart.run(device="cpu").complete
    one = study(tmp_path / "together", tiny_checkpoint, tiny_data, arms)
    watched: dict[str, StopAfter] = {}

    def observer_of(planned: Any) -> StopAfter:
        fails = planned.spec.arm == "freeze_1_to_3"
        return watched.setdefault(planned.spec.arm, StopAfter(1 if fails else None, ValueError))

    outcome = one.run(device="cpu", together=True, observer_of=observer_of)
    assert [label for label, _ in outcome.failed] == ["freeze_1_to_3/seed0"] and len(outcome.finished) == 2
    assert [state.status for state in one.states()] == ["finished", "failed", "finished"]
    assert watched["baseline"].seen == [1, 2, 3] and watched["freeze_1_to_3"].seen == [1]
    for arm in ("baseline", "freeze_1_to_6"):
        assert_same(apart.folder / arm / "seed0", one.folder / arm / "seed0")


@pytest.mark.slow
def test_interrupted_arms_go_on_where_each_was(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}, "freeze_1_to_6": {"freeze": "0-5"}}
    runs = []
    for name in ("apart", "together"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "depth.yaml"
        value = {
            "model": str(tiny_checkpoint), "data": str(tiny_data), "arms": arms, "exact_resume": True,
            "train": {**SETTINGS, "epochs": 4, "close_mosaic": 1},
        }  # fmt: skip
        path.write_text(yaml.safe_dump(value, sort_keys=False))
        runs.append(fl.Study.from_yaml(path, tmp_path / name / "study"))
    apart, together = runs
    assert apart.run(device="cpu").complete
    with pytest.raises(KeyboardInterrupt):
        together.run(device="cpu", together=True, observer_of=lambda run: StopAfter(2))
    states = together.states()
    assert {state.status for state in states} == {"interrupted"}
    assert [state.epochs_done for state in states] == [2, 1, 1]
    lines = Lines()
    assert together.run(device="cpu", together=True, observer=lines).complete
    assert "in lockstep: freeze_1_to_3/seed0, freeze_1_to_6/seed0" in lines.lines
    assert any(line.startswith("baseline/seed0 runs alone: no other run") for line in lines.lines)
    for arm in arms:
        assert_same(apart.folder / arm / "seed0", together.folder / arm / "seed0")


def test_runs_are_grouped_by_what_they_share_and_split_to_fit(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms: dict[str, Any] = {f"freeze_1_to_{depth}": {"freeze": f"0-{depth - 1}"} for depth in (1, 2, 3, 4)}
    arms |= {"two_stage": {"stages": [{"epochs": 1, "freeze": "0-2"}, {"epochs": 2}]}, "baseline": {}}
    arms["distilled"] = {"teacher": str(tiny_checkpoint)}
    one = study(tmp_path, tiny_checkpoint, tiny_data, arms)
    prepared = one.prepare()

    def groups() -> list[tuple[int, str]]:
        return [(len(group.runs), group.why_alone) for group in group_runs(one.runs(), prepared, "cpu")]

    alone = [(1, "no other run with its seed, data, stages and epochs done"), (1, "it has a teacher")]
    assert groups() == [(5, ""), *alone]
    ready = prepared["baseline"][2]
    model, _ = build_model(one.runs()[0].spec, {0: "red", 1: "green", 2: "blue"})
    step, held = step_bytes(model, 4, 64), held_bytes(ready.parameters, "SGD")
    for fits, sizes in ((5, [5]), (4, [3, 2]), (2, [2, 2, 1]), (1, [1] * 5), (0, [1] * 5)):
        monkeypatch.setattr("frostline.studies.together.free_bytes", lambda _, fits=fits: step + fits * held)
        found = groups()
        assert [size for size, _ in found] == [*sizes, 1, 1]
        assert all(("memory" in why) == (size == 1) for size, why in found[:-2])


def test_what_a_step_keeps_is_worked_out_without_computing(tiny_yaml: Path) -> None:
    def detector() -> torch.nn.Module:
        return DetectionModel(str(tiny_yaml), nc=3, verbose=False).train()

    kept: dict[int, int] = {}
    alive = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        alive.append(tensor)
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model = detector()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(torch.zeros(4, 3, 64, 64))
    assert abs(step_bytes(detector(), 4, 64) / sum(kept.values()) - 1) < 0.02
    assert 0 < free_bytes("cpu") <= psutil.virtual_memory().total
