"""What a run computes with: `reference=true` is plain Ultralytics' arithmetic, and other precisions are recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import SETTINGS
from ultralytics.models.yolo.detect import DetectionTrainer

import frostline as fl
from frostline.freezing import Stage
from frostline.studies import Study, ablation
from frostline.training.arithmetic import choose_arithmetic
from frostline.training.job import StageJob
from frostline.training.machine import MemoryPeak
from frostline.training.settings import for_ultralytics, resolve_settings
from frostline.training.trainer import StageTrainer

pytestmark = pytest.mark.integration


def losses(trainer: DetectionTrainer) -> list[float]:
    """The loss of every batch."""
    found: list[float] = []
    trainer.add_callback("on_train_batch_end", lambda one: found.append(float(one.loss.detach())))
    trainer.train()
    return found


@pytest.mark.usefixtures("threads_of_ultralytics")
def test_reference_is_plain_ultralytics_loss_by_loss(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    settings = resolve_settings({**SETTINGS, "epochs": 5, "reference": True})
    overrides = {
        **for_ultralytics(settings), "model": str(tiny_checkpoint), "data": str(tiny_data), "device": "cpu", "seed": 2,
        "project": str(tmp_path), "exist_ok": True, "workers": 0,
    }  # fmt: skip
    plain = DetectionTrainer(overrides={**overrides, "name": "plain", "freeze": 3})
    job = StageJob(
        Stage(freeze="0-2"), "x", False, None, MemoryPeak("cpu"), lambda *_: None, lambda _: None,
        arithmetic=choose_arithmetic(settings, "cpu", deep=False, teacher=False),
    )  # fmt: skip
    expected = losses(plain)
    # building a trainer sets the seeds
    ours = StageTrainer(overrides={**overrides, "name": "ours"}, _callbacks=job.carried())
    found = losses(ours)
    assert len(expected) == len(found) == 10
    assert found == expected, "to the last bit"
    state = ours.ema.ema.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.ema.ema.state_dict().items())


def record_of(run: fl.Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "run.json").read_text())
    return found


def test_a_run_in_bf16_trains_audits_and_records_it(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    run = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.first(5), project=tmp_path, device="cpu", precision="bf16",
        fold_frozen=True, **SETTINGS,
    )  # fmt: skip
    record = record_of(run)
    assert run.audit_passed and record["arithmetic"]["precision"] == "bf16" and record["arithmetic"]["fold_frozen"]
    assert "asked for" in record["arithmetic"]["why"]
    model = torch.load(run.weights, map_location="cpu", weights_only=False)["model"]
    assert type(model).__module__ == "ultralytics.nn.tasks", "loads where Frostline is not installed"
    assert {p.dtype for p in model.parameters()} == {torch.float16}


def test_a_wrong_precision_is_found_before_anything_is_written(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(fl.InputError, match="precision fp16: processors compute no convolutions in it"):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path / "runs", device="cpu", precision="fp16", **SETTINGS)
    assert not (tmp_path / "runs").exists()


def test_another_precision_is_another_run(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {"project": tmp_path, "name": "one", "device": "cpu", **SETTINGS, "epochs": 1}
    fl.train(tiny_checkpoint, tiny_data, precision="fp32", **common)
    with pytest.raises(fl.InputError, match=r"settings\.precision: fp32 there, bf16 now"):
        fl.train(tiny_checkpoint, tiny_data, precision="bf16", **common)


def test_a_study_finds_a_wrong_precision_before_anything_is_written(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    file = ablation(str(tiny_checkpoint), str(tiny_data), (3,), {**SETTINGS, "precision": "fp16"}, name="s")
    with pytest.raises(fl.InputError, match="precision fp16: processors compute no convolutions in it"):
        Study(file, tmp_path / "s").run(device="cpu")
    assert not (tmp_path / "s").exists()
