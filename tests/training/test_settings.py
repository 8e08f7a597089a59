from __future__ import annotations

import pytest

from frostline import InputError
from frostline.training import resolve_settings
from frostline.training.settings import mosaic_warning, parse_pairs


def test_defaults_are_named_and_never_auto() -> None:
    settings = resolve_settings({})
    assert (settings["optimizer"], settings["lr0"], settings["momentum"]) == ("SGD", 0.01, 0.937)
    assert (settings["weight_decay"], settings["warmup_epochs"], settings["precision"], settings["patience"]) == (
        0.0005, 3.0, "auto", 0,
    )  # fmt: skip


def test_the_users_word_wins_over_the_preset_and_the_preset_over_the_defaults() -> None:
    settings = resolve_settings({"preset": "log-chroma", "mosaic": 0.5, "lr0": None})
    assert settings["hsv_h"] == 0 and settings["hsv_v"] == 0.4 and settings["mosaic"] == 0.5
    assert settings["lr0"] == 0.01 and "preset" not in settings


def test_resolved_settings_resolve_to_themselves() -> None:
    once = resolve_settings({"preset": "log-chroma", "optimizer": "adamw", "epochs": 7})
    assert resolve_settings(once) == once and once["optimizer"] == "AdamW"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": 0.1}, "unknown training argument 'lr', did you mean 'lrf'"),
        ({"mosiac": 0}, "did you mean 'mosaic'"),
        ({"freeze": 3}, "freeze: cannot be given here: say what to freeze with --freeze"),
        ({"classes": [0]}, "classes: cannot be given here: make a dataset of those classes"),
        ({"augmentations": "x"}, "augmentations: Albumentations objects cannot be given here"),
        ({"cache": "ram,"}, "cache: expected ram, disk or false, got 'ram,'"),
        ({"time": 2}, "a run's length is its epochs"),
        ({"optimizer": "auto"}, "auto ignores lr0"),
        ({"optimizer": "SDG"}, "did you mean 'SGD'"),
        ({"epochs": 0}, "epochs: expected a whole number of at least 1"),
        ({"batch": 0.5}, "batch: expected a whole number"),
        ({"imgsz": "abc"}, "imgsz: expected a whole number|'imgsz=abc'"),
        ({"lr0": 0}, "lr0: expected a number above 0"),
        ({"patience": -1}, "patience"),
        ({"preset": "logchroma"}, "no preset 'logchroma', did you mean 'log-chroma'"),
        ({"mosaic": 2}, "mosaic"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        resolve_settings(given)
    assert "\n" not in str(error.value)


def test_pairs_are_read_as_yaml() -> None:
    assert parse_pairs(["lr0=0.5", "plots=false", "name=x", "scale=[0.1, 0.2]"]) == {
        "lr0": 0.5, "plots": False, "name": "x", "scale": [0.1, 0.2],
    }  # fmt: skip
    for wrong in ("lr0", "=3"):
        with pytest.raises(InputError, match="expected key=value"):
            parse_pairs([wrong])


def test_a_stage_that_never_has_mosaic_is_told() -> None:
    assert "these 10 never have it" in str(mosaic_warning({}, 10))
    assert mosaic_warning({}, 11) is None
    assert mosaic_warning({"close_mosaic": 0}, 3) is None
    assert mosaic_warning({"mosaic": 0.0}, 3) is None
