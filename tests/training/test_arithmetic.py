"""Which precision a run computes in, and how its levers are named."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from frostline.errors import InputError
from frostline.training import arithmetic
from frostline.training.arithmetic import choose_arithmetic, filling_memory
from frostline.training.levers import LEVERS, REFERENCE, resolve_levers
from frostline.training.settings import for_ultralytics, resolve_settings


def chosen(device: str = "cpu", deep: bool = False, teacher: bool = False, **settings: Any) -> arithmetic.Arithmetic:
    return choose_arithmetic(resolve_settings(settings), device, deep=deep, teacher=teacher)


@pytest.mark.parametrize(
    ("given", "precision"),
    [
        ({}, "auto"), ({"amp": False}, "fp32"), ({"amp": True}, "auto"), ({"amp": "bf16"}, "bf16"),
        ({"precision": "bf16"}, "bf16"), ({"precision": "fp32", "amp": False}, "fp32"), ({"reference": True}, "fp32"),
        ({"reference": True, "precision": "bf16"}, "bf16"),
    ],
)  # fmt: skip
def test_amp_and_precision_are_one_setting(given: dict[str, Any], precision: str) -> None:
    assert resolve_levers(given)["precision"] == precision


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "half"}, "precision: expected auto, fp32, bf16, fp16, got 'half'"),
        ({"amp": False, "precision": "bf16"}, "amp=False and precision=bf16 do not agree"),
        ({"amp": "yes"}, "amp: expected true, false or a precision"),
        ({"amp": []}, "amp: expected true, false or a precision"),
        ({"fold_frozen": 1}, "fold_frozen: expected true or false, got 1"),
        ({"reference": "please"}, "reference: expected true or false"),
    ],
)
def test_a_wrong_value_is_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_settings(given)


def test_resolved_settings_read_back_as_they_are() -> None:
    for given in ({}, {"amp": False}, {"reference": True}, {"reference": True, "channels_last": True}):
        settings = resolve_settings(given)
        assert resolve_settings(settings) == settings
        assert {*LEVERS, "reference"} <= set(settings) and "amp" not in settings


def test_reference_turns_every_lever_off_and_one_can_be_put_back() -> None:
    assert set(REFERENCE) == set(LEVERS)
    settings = resolve_settings({"reference": True, "fused_validation": True})
    assert {key: settings[key] for key in LEVERS} == {**REFERENCE, "fused_validation": True}


def test_ultralytics_never_hears_of_them() -> None:
    told = for_ultralytics(resolve_settings({"precision": "bf16"}))
    assert told["amp"] is False and told["channels_last"] is None
    assert not set(told) & {"precision", "reference", "no_grad_prefix", "fold_frozen", "fused_validation"}
    assert for_ultralytics(resolve_settings({"channels_last": False}))["channels_last"] is False


def test_a_processor_gets_bf16_where_it_has_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "bf16_instructions", lambda: "amx_bf16")
    assert (chosen().precision, chosen().why) == ("bf16", "amx_bf16")
    assert chosen(deep=True).float32_first and not chosen().float32_first
    assert chosen(amp=False).precision == "fp32" and not chosen(amp=False, deep=True).float32_first
    assert chosen(teacher=True).precision == "fp32"
    monkeypatch.setattr(arithmetic, "bf16_instructions", lambda: None)
    assert chosen().precision == "fp32" and "no instructions" in chosen().why
    assert "emulated" in chosen(precision="bf16").why


def test_memory_is_filled_again_afterwards() -> None:
    flags: Any = torch.utils.deterministic
    before = flags.fill_uninitialized_memory
    with pytest.raises(KeyboardInterrupt), filling_memory(not before):
        assert flags.fill_uninitialized_memory is not before
        raise KeyboardInterrupt
    assert flags.fill_uninitialized_memory is before


def test_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("0").precision == "fp16" and not chosen("0").channels_last, "Ultralytics lays tensors out there"
    assert chosen("mps").precision == "fp32" and not chosen("mps").channels_last
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: False)
    for device, settings, message in (
        ("0", {"precision": "bf16"}, "this GPU does not compute in it"),
        ("mps", {"precision": "fp16"}, "the only one on mps"),
        ("cpu", {"precision": "fp16"}, "processors compute no convolutions in it"),
    ):
        with pytest.raises(InputError, match=message):
            chosen(device, **settings)
    with pytest.raises(InputError, match="a teacher's features are compared in float32"):
        chosen(teacher=True, precision="bf16")
