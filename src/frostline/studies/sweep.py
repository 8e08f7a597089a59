"""Sweeps: a list where a study takes one value, written out as one arm for each value."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from frostline.errors import InputError, did_you_mean, shown
from frostline.freezing import FreezePlan, Stage
from frostline.freezing.stage import COUNTS
from frostline.training.settings import DEFAULTS
from frostline.training.spec import plan_name

OWN_KEYS = ("data", "model", "weights", "teacher")
"""What an arm may have of its own beside its plan."""
RATES = ("lr0", "lrf", "cos_lr", "warmup_epochs")
"""Training arguments that a stage may have of its own, and that a study may therefore sweep under `train`."""
_JOINED = ("freeze", "train_only")  # a list of selectors is one selector, so these are swept under `sweep` alone
_NESTED = ("unfreeze", "freezeout", "adaptive", "rates")
_PLAN_KEYS = (*COUNTS, *Stage.model_fields, "freeze_fresh")
_SELECTING = (*COUNTS, *_JOINED)
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Axis:
    """One list to sweep.

    Attributes:
        place: the way to it in an arm, such as `("unfreeze", "every")` or `("stages", 0, "lr0")`.
        values: what stands there, one after the other.
    """

    place: Place
    values: Sequence[Any]


def expand(study: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Write every sweep of a study out as arms; what is no sweep is left as it is, right or wrong.

    Arms keep their order; of several lists the last runs fastest. Lists of the study itself (`model`, `weights`,
    `data`, `teacher`, learning rates under `train`, and `sweep`) multiply every arm that has no such value of its own.

    Args:
        study: a study file as plain data.
        where: named in error messages.

    Returns:
        The same without `sweep`, one arm for each value.

    Raises:
        InputError: an empty list, a key that cannot be swept, a list that no arm would use, or two arms of one name.
    """
    fields = dict(study)
    arms = fields.get("arms")
    shared = fields.pop("sweep", None)
    if not isinstance(arms, dict):
        return fields
    found: list[tuple[str, str, Any]] = [  # the arm in the file, the arm, its plan
        (str(name), one, value) for name, given in arms.items() for one, value in _expand_arm(str(name), given, where)
    ]
    for key in ("weights", "model", "data", "teacher"):  # a model that is swept must not look like an arm's own
        if _is_list(fields.get(key)) and not _bad_paths(key, fields[key]):
            found = _multiply_start(found, key, fields, where)
            fields[key] = fields[key][0]
    train = fields.get("train")
    axes: dict[str, Any] = {}
    if isinstance(train, dict):
        _refuse_shared(train, where)
        axes = {key: train[key] for key in RATES if isinstance(train.get(key), list)}
        fields["train"] = {key: value for key, value in train.items() if key not in axes}
    for key, values in {**axes, **_given(shared, where, _PLAN_KEYS)}.items():
        found = _multiply_plan(found, key, _several(values, f"{where}: {key}"), where)
    fields["arms"] = _named(found, where)
    return fields


def _expand_arm(name: str, given: Any, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(given, dict):
        yield name, given
        return
    axes = list(_axes(given, f"{where}: arm {name}"))
    for values in itertools.product(*(axis.values for axis in axes)):
        arm = copy.deepcopy(given)
        for holder in (arm, *_stages(arm)):
            holder.pop("sweep", None)
        for axis, value in zip(axes, values, strict=True):
            _put(arm, axis.place, value)
        yield _name(name, given, axes, values), arm


def _axes(value: Mapping[str, Any], where: str, place: Place = ()) -> Iterator[Axis]:
    """Find the lists that sweep, in the order of the file."""
    known = _PLAN_KEYS if place else (*_PLAN_KEYS, *OWN_KEYS)
    for key, item in value.items():
        if key == "sweep":
            for dotted, values in _given(item, where, known).items():
                yield Axis((*place, *dotted.split(".")), _several(values, f"{where}: sweep: {dotted}"))
        elif key == "stages" and isinstance(item, list) and not place:
            for number, stage in enumerate(item):
                if isinstance(stage, dict):
                    yield from _axes(stage, f"{where}: stages.{number + 1}", ("stages", number))
        elif key in _NESTED and isinstance(item, dict):
            yield from _inner(item, f"{where}: {key}", (*place, key))
        elif key in known and key not in _JOINED and isinstance(item, list) and not _bad_paths(key, item):
            yield Axis((*place, key), _several(item, f"{where}: {key}"))


def _bad_paths(key: str, values: list[Any]) -> bool:
    return key in OWN_KEYS and not all(isinstance(one, str) for one in values)


def _inner(value: Mapping[str, Any], where: str, place: Place) -> Iterator[Axis]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _inner(item, f"{where}.{key}", (*place, key))
        elif isinstance(item, list):
            yield Axis((*place, key), _several(item, f"{where}.{key}"))


def _given(sweep: Any, where: str, known: Sequence[str]) -> dict[str, Any]:
    """Return the lists under a key `sweep`, every key of them known."""
    if sweep is None:
        return {}
    if not isinstance(sweep, dict):
        raise InputError(f'{where}: sweep: expected lists by key, such as {{freeze: ["0-2", backbone]}}')
    for key in sweep:
        if str(key).split(".")[0] not in known:
            raise InputError(f"{where}: sweep: unknown key '{key}'{did_you_mean(str(key), known)}")
    return {str(key): values for key, values in sweep.items()}


def _several(values: Any, where: str) -> list[Any]:
    if not _is_list(values):
        raise InputError(f"{where}: expected a list of values to sweep, got {shown(values)}")
    return list(values)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _stages(arm: Mapping[str, Any]) -> list[dict[str, Any]]:
    stages = arm.get("stages")
    return [stage for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []


def _are_stages(value: Any) -> bool:
    return _is_list(value) and all(isinstance(stage, dict) for stage in value)


def _put(arm: dict[str, Any], place: Place, value: Any) -> None:
    inner: Any = arm
    for part in place[:-1]:
        inner = inner[part] if isinstance(part, int) else inner.setdefault(part, {})
    inner[place[-1]] = copy.deepcopy(value)


def _multiply_start(
    found: list[tuple[str, str, Any]], key: str, fields: Mapping[str, Any], where: str
) -> list[tuple[str, str, Any]]:
    """Give every arm without its own model, weights, data or teacher each of the study's."""
    out: list[tuple[str, str, Any]] = []
    used = False
    for source, name, given in found:
        arm = {} if given is None else given
        own = isinstance(arm, dict) and (key in arm or (key == "weights" and "model" in arm))
        if own or not isinstance(arm, dict):
            out.append((source, name, given))
            continue
        used = True
        for value in fields[key]:
            start = {key: value}
            if key == "model" and isinstance(fields.get("weights"), str) and "weights" not in arm:
                start["weights"] = fields["weights"]  # an arm with a model of its own has the study's weights no more
            out.append((source, f"{name}_{_label((key,), [])}{_slug(value, key)}", {**arm, **start}))
    if not used:
        raise InputError(f"{where}: {key}: every arm has its own, so this list would not be used")
    return out


def _multiply_plan(
    found: list[tuple[str, str, Any]], key: str, values: Sequence[Any], where: str
) -> list[tuple[str, str, Any]]:
    """Give every arm each value of a plan field: a rate in all stages without one, anything else in a single stage."""
    out: list[tuple[str, str, Any]] = []
    for source, name, given in found:
        arm = {} if given is None else given
        if not isinstance(arm, dict) or ("stages" in arm and not _are_stages(arm["stages"])):
            out.append((source, name, given))  # no plan, which is said where it is read
            continue
        holders = _stages(arm) or [arm]
        taken = _SELECTING if key in _SELECTING else (key,)
        places: list[Place] = [("stages", i, key) for i in range(len(holders))] if "stages" in arm else [(key,)]
        free = [
            place for place, one in zip(places, holders, strict=True) if not any(one.get(k) is not None for k in taken)
        ]
        if not free or ("stages" in arm and key not in (*RATES, "freeze_fresh")):
            has = "stages" if free else f"{key} of its own" if len(holders) == 1 else f"{key} in every stage"
            raise InputError(
                f"{where}: arm {name}: has {has}, so the study's sweep of {key} does not fit it; sweep it in the arms"
            )
        for value in values:
            one = copy.deepcopy(arm)
            for place in [(key,)] if key == "freeze_fresh" else free:
                _put(one, place, value)
            out.append((source, f"{name}_{_slug(key)}_{_slug(value)}", one))
    return out


def _refuse_shared(train: Mapping[str, Any], where: str) -> None:
    for key, value in train.items():
        if isinstance(value, list) and key in DEFAULTS and key not in RATES and not isinstance(DEFAULTS[key], list):
            raise InputError(
                f"{where}: train: {key}: arms share it, so it takes one value; {', '.join(RATES)} may be lists"
            )


def _name(arm: str, given: Mapping[str, Any], axes: Sequence[Axis], values: Sequence[Any]) -> str:
    """Name an arm after its values; a list of depths that is all there is names its arms as `ablate` does."""
    if not axes:
        return arm
    only = axes[0].place[0] if len(given) == len(axes) == len(axes[0].place) == 1 else None
    if only in COUNTS and type(values[0]) is int and values[0] >= (only == "train_first"):
        return plan_name(FreezePlan.parse({only: values[0]}))
    places = [axis.place for axis in axes]
    parts = [
        f"{_label(place, places)}{_slug(value, str(place[-1]))}" for place, value in zip(places, values, strict=True)
    ]
    return "_".join([arm, *parts])


def _label(place: Place, places: Sequence[Place]) -> str:
    """Return the key of a sweep with as much of the way to it as tells it from the others; none for a model."""
    if place == ("model",):
        return ""
    words = [f"stage{part + 1}" if isinstance(part, int) else part for part in place if part != "stages"]
    for count in range(1, len(words) + 1):
        if sum(other[-count:] == place[-count:] for other in places) <= 1:
            break
    return _slug("_".join(words[-count:])) + "_"


def _slug(value: Any, key: str = "") -> str:
    """Write a value so that it can be part of a folder's name."""
    if key in OWN_KEYS:
        path = PurePath(str(value))
        text = path.parent.name or path.stem if path.stem == "data" else path.stem
    elif value is None or isinstance(value, bool):
        text = {None: "none", True: "true", False: "false"}[value]
    elif isinstance(value, dict):
        text = "_".join(f"{name}_{_slug(item)}" for name, item in value.items())
    elif isinstance(value, list):
        text = "-".join(map(_slug, value))
    else:
        text = str(value)
    return re.sub(r"[^\w.\-]", "_", text)


def _named(found: list[tuple[str, str, Any]], where: str) -> dict[str, Any]:
    arms: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, name, value in found:
        if name in arms:
            both = f"from '{sources[name]}' and from '{source}'" if sources[name] != source else f"both from '{source}'"
            raise InputError(f"{where}: two arms are called '{name}', {both}: rename one, or take a value out")
        arms[name], sources[name] = value, source
    return arms
