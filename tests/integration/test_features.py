"""Features of a frozen backbone, computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tiny import SETTINGS

import frostline as fl
from frostline.training.checkpoints import saved_tensors
from frostline.training.features import VARYING, FeatureStore

pytestmark = pytest.mark.integration

STILL = {key: value for key, value in VARYING.items() if key != "bgr"}


def train(model: Path, data: Path, project: Path, plan: fl.FreezePlan | None = None, **settings: Any) -> fl.Run:
    plan = plan or fl.FreezePlan.select("backbone")
    return fl.train(model, data, plan, project=project, device="cpu", **{**SETTINGS, "epochs": 4, **STILL, **settings})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_ends_where_it_ends_without(
    precision: str, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[FeatureStore] = []
    begin = FeatureStore.__init__

    def noted(self: FeatureStore, *args: Any) -> None:
        begin(self, *args)
        stores.append(self)

    monkeypatch.setattr(FeatureStore, "__init__", noted)
    run = train(tiny_checkpoint, tiny_data, tmp_path / "kept", precision=precision, cache_features=True)
    other = train(tiny_checkpoint, tiny_data, tmp_path / "not", precision=precision)
    assert [store.hits for store in stores] == [6], "two batches in each epoch but the first"
    assert run.audit_passed and not list(run.folder.rglob("features.bin"))
    kept, plain = saved_tensors(run.weights), saved_tensors(other.weights)
    for name, tensor in plain.items():
        assert torch.allclose(tensor.float(), kept[name].float(), rtol=2e-2, atol=2e-3), name
    losses = [pl.read_csv(one.folder / "results.csv")["train/cls_loss"].to_list() for one in (run, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_backbone_that_thaws_is_computed_again(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    plan = fl.FreezePlan.parse({"stages": [{"epochs": 2, "freeze": "backbone"}, {"epochs": 2}]})
    run = train(tiny_checkpoint, tiny_data, tmp_path, plan, cache_features=True)
    assert run.audit_passed
    before, after = (saved_tensors(run.folder / stage / "weights" / "last.pt") for stage in ("stage1", "stage2"))
    assert not torch.equal(before["0.conv.weight"], after["0.conv.weight"]), "stage 2 trains what stage 1 kept"


@pytest.mark.parametrize(
    ("settings", "plan", "message"),
    [
        ({"mosaic": 1.0, "fliplr": 0.5}, "backbone", "cache_features: mosaic, fliplr would make an image another one"),
        ({}, "0-2", "cache_features: no stage freezes the whole backbone"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    settings: dict[str, Any], plan: str, message: str, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(fl.InputError, match=message):
        train(tiny_checkpoint, tiny_data, tmp_path, fl.FreezePlan.select(plan), cache_features=True, **settings)


def test_a_store_gives_back_what_it_was_given(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "f.bin", ["a", "b", "c"], 2)
    outputs = {0: torch.randn(2, 4, 6, 6).bfloat16(), 3: torch.randn(2, 8, 3, 3).bfloat16()}
    store.next_batch(["c", "a"])
    assert store.load(4) is None
    store.store(4, outputs)
    store.next_batch(["a", "c"])
    found = store.load(4)
    assert found is not None and all(torch.equal(found[key], value.flip(0)) for key, value in outputs.items())
    store.next_batch(["a", "b"])
    assert store.load(4) is None, "b was never seen"
    store.next_batch(["a", "c"])
    assert store.load(3) is None, "another depth has other outputs"
    store.forget()
    assert store.load(4) is None
