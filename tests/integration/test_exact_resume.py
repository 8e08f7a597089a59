"""`exact_resume`: a killed and resumed run ends with the very weights of an unbroken one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import StopAfter
from tiny import SETTINGS

import frostline as fl
from frostline.errors import InputError
from frostline.training.checkpoints import saved_tensors

pytestmark = [pytest.mark.integration, pytest.mark.slow]
FIVE = {**SETTINGS, "epochs": 5, "close_mosaic": 2}
CASES: dict[str, tuple[fl.FreezePlan, dict[str, Any]]] = {
    "sgd with mosaic": (fl.FreezePlan.first(3), FIVE),
    "adamw, gradual": (fl.FreezePlan.gradual(every=2, by="role"), {**FIVE, "optimizer": "AdamW", "lr0": 0.002}),
    "adaptive": (fl.FreezePlan.adaptive(percentile=50, patience=1), FIVE),
    # 4 batches of 2 an epoch, a step every 3: gradients are gathered across the end of an epoch
    "accumulated": (fl.FreezePlan.none(), {**FIVE, "batch": 2, "nbs": 6}),
    "accumulated in warm-up": (fl.FreezePlan.none(), {**FIVE, "batch": 2, "nbs": 6, "warmup_epochs": 4.0}),
    "two loader processes": (fl.FreezePlan.none(), {**FIVE, "workers": 2}),
}


def interrupted_and_whole(
    name: str, kill: int, checkpoint: Path, data: Path, folder: Path, exact: bool
) -> tuple[fl.Run, fl.Run]:
    plan, settings = CASES[name]
    common: dict[str, Any] = {"project": folder, "device": "cpu", "exact_resume": exact, **settings}
    whole = fl.train(checkpoint, data, plan, name="whole", **common)
    with pytest.raises(KeyboardInterrupt):
        fl.train(checkpoint, data, plan, name="cut", observer=StopAfter(kill), **common)
    return whole, fl.train(checkpoint, data, plan, name="cut", **common)


def same(one: Path, two: Path) -> bool:
    a, b = saved_tensors(one), saved_tensors(two)
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("name", "kill"), [(name, 1 + number % 3) for number, name in enumerate(CASES)])
def test_the_same_weights_to_the_bit(
    name: str, kill: int, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    whole, cut = interrupted_and_whole(name, kill, tiny_checkpoint, tiny_data, tmp_path, exact=True)
    for file in ("last.pt", "best.pt"):
        assert same(whole.folder / "weights" / file, cut.folder / "weights" / file)
    assert whole.map50_95 == cut.map50_95 and cut.audit_passed
    assert not list((cut.folder / "weights").glob("exact*")), "nothing resumes a finished stage"
    for file in ("gradients.csv", "rates.csv"):
        if (whole.folder / file).exists():
            assert (whole.folder / file).read_text() == (cut.folder / file).read_text()


def test_without_it_the_weights_differ(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    whole, cut = interrupted_and_whole("sgd with mosaic", 2, tiny_checkpoint, tiny_data, tmp_path, exact=False)
    assert not same(whole.folder / "weights" / "last.pt", cut.folder / "weights" / "last.pt")


def test_a_missing_side_file_is_told(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {"project": tmp_path, "name": "r", "device": "cpu", "exact_resume": True, **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, observer=StopAfter(1), **common)
    side = tmp_path / "r" / "weights" / "exact-1.pt"
    side.write_bytes(side.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be resumed exactly"):
        fl.train(tiny_checkpoint, tiny_data, **common)


def test_a_run_is_not_gone_on_with_in_the_other_way(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {"project": tmp_path, "name": "r", "device": "cpu", **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, observer=StopAfter(1), **common)
    with pytest.raises(InputError, match="exact_resume: False there, True now"):
        fl.train(tiny_checkpoint, tiny_data, exact_resume=True, **common)
