"""Training arguments: our defaults, presets, and the user's `key=value`, checked against what Ultralytics knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from frostline.errors import InputError, did_you_mean
from frostline.training.levers import LEVERS, resolve_levers

DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,
    "imgsz": 640,
    "batch": 16,
    "optimizer": "SGD",
    "lr0": 0.01,
    "momentum": 0.937,
    "weight_decay": 0.0005,
    "warmup_epochs": 3.0,
    "patience": 0,
    "plots": True,
    "augmentations": [],
}
"""What a run uses where the user names nothing. `augmentations=[]` keeps albumentations, if it is installed, out."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "log-chroma": {
        "hsv_h": 0.0,
        "hsv_s": 0.0,
        "hsv_v": 0.4,
        "degrees": 0.0,
        "translate": 0.1,
        "scale": 0.5,
        "flipud": 0.0,
        "fliplr": 0.5,
        "mosaic": 1.0,
        "close_mosaic": 10,
    }
}
"""Named sets of arguments. `log-chroma`: hue and saturation have no meaning in a chromaticity image."""

OWN = frozenset({*LEVERS, "reference"} - {"channels_last"})
"""Training arguments that are not Ultralytics': see `training.levers`."""

_TAKEN: Mapping[str, str] = {
    "freeze": "say what to freeze with --freeze, --train-only or --plan",
    "model": "it is the first argument",
    "data": "it is the second argument",
    "project": "use --project",
    "name": "use --name",
    "seed": "use --seed or --seeds",
    "device": "use --device",
    "pretrained": "use --weights",
    "resume": "a run that was interrupted resumes by itself when it is started again",
    "save_dir": "use --project and --name",
    "exist_ok": "a finished run is never overwritten",
    "task": "only detection is trained",
    "mode": "only training is done",
    "time": "a run's length is its epochs, or arms would differ in it",
    "save": "checkpoints are always saved",
    "val": "every epoch is validated",
    "rect": "training shuffles and validation is rectangular, always",
    "single_cls": "it changes the classes of the dataset",
    "fraction": "give a smaller dataset",
    "distill_model": "say who teaches with --teacher, or with teacher: in a study file",
    "quantize": "quantised training is not an option of this version",
    "split": "a run is validated on val",
    "classes": "make a dataset of those classes: the run would be validated on others than it was trained on",
}


def parse_pairs(pairs: list[str]) -> dict[str, Any]:
    """Read `key=value` arguments; values are read as YAML (`true`, `0.5`, `[0.1, 0.2]`, `text`).

    Raises:
        InputError: no `=`, an unknown key (the nearest one is suggested), or a key that has its own option.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise InputError(f"'{pair}': expected key=value, such as lr0=0.005")
        try:
            values[key.strip()] = yaml.safe_load(text) if text.strip() else text
        except yaml.YAMLError as error:
            raise InputError(f"'{pair}': cannot read the value") from error
    return values


def refuse_taken(given: Mapping[str, Any]) -> None:
    """Refuse arguments of Ultralytics that have an option of their own here.

    Raises:
        InputError: the first of them, with the option to use.
    """
    for key in given:
        if key in _TAKEN:
            raise InputError(f"{key}: cannot be given here: {_TAKEN[key]}")


def resolve_settings(given: Mapping[str, Any], preset: str | None = None) -> dict[str, Any]:
    """Merge our defaults, a preset and the user's arguments, in that order, and check every one.

    Args:
        given: Ultralytics training arguments; None values are left out. A key `preset` is taken as the preset.
        preset: a name in `PRESETS`, or None.

    Returns:
        Arguments for Ultralytics, complete enough to repeat the run.

    Raises:
        InputError: unknown preset or key, a key with an option of its own, a value of the wrong type or range,
            `optimizer: auto` (it would ignore `lr0`), or early stopping given a negative patience.
    """
    from ultralytics.cfg import get_cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    given = {key: value for key, value in given.items() if value is not None}
    preset = given.pop("preset", preset)
    if preset is not None and preset not in PRESETS:
        raise InputError(f"no preset '{preset}'{did_you_mean(preset, PRESETS)}; there is {', '.join(PRESETS)}")
    known = [name for name in (*DEFAULT_CFG_DICT, *DEFAULTS, *OWN) if name not in _TAKEN]
    refuse_taken(given)
    for key in given:
        if key not in known:
            raise InputError(f"unknown training argument '{key}'{did_you_mean(key, known)}")
    levers = resolve_levers(given)
    own = {key: value for key, value in given.items() if key not in levers and key != "amp"}
    settings = {**DEFAULTS, **(PRESETS[preset] if preset else {}), **own, **levers}
    settings["optimizer"] = _named_optimizer(settings["optimizer"])
    _check_ranges(settings)
    try:
        get_cfg(overrides=for_ultralytics(settings))
    except (TypeError, ValueError, SyntaxError, AssertionError) as error:
        raise InputError(" ".join(str(error).split())[:300]) from error
    return settings


def check_written_out(train: Mapping[str, Any]) -> bool:
    """Tell whether settings were resolved before, as in a study's own folder, which holds every one.

    Raises:
        InputError: they were, and one of the main ones is out of range.
    """
    written = all(key in train for key in (*DEFAULTS, *OWN))
    if written:
        _check_ranges(train)
    return written


def check_weight(settings: Mapping[str, Any], taught: bool) -> None:
    """Make sure that `dis`, the weight of the distillation loss, is one, and weighs something.

    Args:
        settings: the training arguments of a run or a study.
        taught: whether there is a teacher at all.

    Raises:
        InputError: `dis` without a teacher, or one that is not above 0.
    """
    weight = settings.get("dis")
    if weight is None:
        return
    if not taught:
        raise InputError("dis: it weighs the distillation loss, and there is no teacher")
    if not isinstance(weight, int | float) or not weight > 0:
        raise InputError(f"dis: expected a number above 0, got {weight!r}: the teacher would teach nothing")


def for_ultralytics(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return resolved settings as arguments that Ultralytics knows.

    Its own mixed precision stays off: the trainer has another, which leaves the loss and the boxes in float32. Whether
    tensors are `channels_last` is for it to decide on a GPU, as without us, unless the user said so.
    """
    kept = {key: value for key, value in settings.items() if key not in OWN}
    if kept.get("channels_last") is True or settings.get("reference"):
        kept["channels_last"] = None
    return {**kept, "amp": False}


def _named_optimizer(name: Any) -> str:
    known = ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSProp", "MuSGD")
    if str(name).lower() == "auto":
        raise InputError("optimizer: auto ignores lr0 and chooses by itself; name one, such as SGD or AdamW")
    match = {word.lower(): word for word in known}.get(str(name).lower())
    if match is None:
        raise InputError(f"no optimizer '{name}'{did_you_mean(str(name), known)}; there are {', '.join(known)}")
    return "RMSprop" if match == "RMSProp" else match


def _check_ranges(settings: Mapping[str, Any]) -> None:
    if settings.get("augmentations"):
        raise InputError("augmentations: Albumentations objects cannot be given here, and none is ever added")
    cache = settings.get("cache")
    if cache is not None and not isinstance(cache, bool) and str(cache).lower() not in ("ram", "disk", "true", "false"):
        raise InputError(f"cache: expected ram, disk or false, got {cache!r}")
    for key in ("epochs", "imgsz", "batch"):
        value = settings[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{key}: expected a whole number of at least 1, got {value!r}")
    for key in ("lr0", "momentum", "weight_decay", "warmup_epochs"):
        value = settings[key]
        if not isinstance(value, int | float) or not math.isfinite(value) or value < 0 or (key == "lr0" and value == 0):
            raise InputError(f"{key}: expected a number {'above' if key == 'lr0' else 'of at least'} 0, got {value!r}")
    if not isinstance(settings["patience"], int) or settings["patience"] < 0:
        raise InputError(f"patience: expected epochs, or 0 for no early stopping, got {settings['patience']!r}")


def mosaic_warning(settings: Mapping[str, Any], epochs: int) -> str | None:
    """Say so where `close_mosaic` leaves a stage without mosaic.

    Ultralytics turns mosaic off for the last `close_mosaic` epochs, so a stage of no more epochs never has it.

    Args:
        settings: resolved arguments.
        epochs: length of the stage.
    """
    from ultralytics.utils import DEFAULT_CFG_DICT

    mosaic = settings.get("mosaic", DEFAULT_CFG_DICT["mosaic"])
    close = settings.get("close_mosaic", DEFAULT_CFG_DICT["close_mosaic"])
    if mosaic and close and epochs <= close:
        return (
            f"close_mosaic={close} turns mosaic off for the last {close} epochs: these {epochs} never have it; "
            "set close_mosaic lower to train with mosaic"
        )
    return None
