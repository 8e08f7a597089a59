"""Do arms differ in more than their plan?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from frostline.report.diagnoses.facts import Facts, RunFacts
from frostline.report.diagnoses.model import Diagnosis, listed

_WORDS = """
task mode name project save_dir exist_ok save save_period save_json save_txt save_conf save_crop save_frames plots
verbose show show_labels show_conf show_boxes line_width visualize device workers cache resume profile seed freeze val
split source vid_stride stream_buffer embed format tracker cfg nms augment agnostic_nms retina_masks half int8 dnn
quantize keras optimize dynamic simplify opset workspace conf bboxes pretrained model
"""
HARMLESS = frozenset(_WORDS.split())
"""Training arguments that are told otherwise (`model`, `seed`, `freeze`), or do not change what is learned."""

STAGE_KEYS = ("epochs", "lr0", "lrf", "cos_lr", "warmup_epochs")
"""What a stage of a plan may set for itself: the plan's own."""

_OWN_KEYS = {"data": "data", "model": "model", "weights": "weights", "teacher": "teacher", "pretrain": "pretraining"}
_WIDEST = 60


def unequal_settings(facts: Facts) -> list[Diagnosis]:
    """Name every setting in which arms differ, with its values; those that the study file asks for apart."""
    runs = facts.counted
    sets = {one.label: settings_of(one) for one in runs}
    known: dict[str, int] = {}
    for settings in sets.values():
        for key in settings:
            known[key] = known.get(key, 0) + 1
    asked: list[str] = []
    unasked: list[str] = []
    touched: dict[str, None] = {}
    for key, count in known.items():
        if count < len(runs):  # another version has no such key
            continue
        groups = _groups(runs, {one.label: sets[one.label][key] for one in runs})
        if len(groups) < 2:
            continue
        line = f"{key}: {_written(groups)}"
        (asked if _declared(facts, key, groups) else unasked).append(line)
        if line in unasked:
            touched |= dict.fromkeys(one.run.arm for _, members in groups[1:] for one in members)
    found = []
    if unasked:
        found.append(
            Diagnosis(
                "unequal-settings",
                "warning",
                "Arms differ in more than their plan",
                "\n".join(unasked),
                (
                    "train these arms again with equal settings: one study file gives all arms the same",
                    "until then, a difference between them may come from the settings",
                ),
                tuple(touched),
            )
        )
    if asked:
        found.append(
            Diagnosis(
                "unequal-settings",
                "note",
                "Arms differ in what the study file gives them of their own",
                "\n".join(asked),
                ("read their differences as those of the whole arm, not of its freezing",),
            )
        )
    return found


def lengths(facts: Facts) -> list[Diagnosis]:
    """Find runs that ended before the epochs that they were to have."""
    found = []
    for one in facts.counted:
        asked, done = one.epochs, one.results.height
        if asked and done and done < asked:
            patience = one.settings.get("patience")
            why = f"; patience is {patience}" if isinstance(patience, int) and 0 < patience < asked else ""
            found.append(
                one.says(
                    "unequal-settings",
                    "warning",
                    "Fewer epochs than asked for",
                    f"{done} of {asked} epochs{why}",
                    "patience=0 (or a high one in plain Ultralytics), so that all arms have equal epochs",
                    "a run that was stopped: start the same command again, it goes on where it was",
                )
            )
    return found


def machines(facts: Facts) -> list[Diagnosis]:
    """Find runs of different machines: their times do not compare."""
    runs = [one for one in facts.counted if isinstance(one.record.get("device"), str)]
    groups = _groups(runs, {one.label: one.record["device"] for one in runs})
    if len(groups) < 2:
        return []
    return [
        Diagnosis(
            "other-machine",
            "note",
            "Runs are from different machines",
            f"device: {_written(groups)}",
            ("compare times and memory between runs of one machine only", "mAP differs by rounding, like another seed"),
        )
    ]


def lockstep(facts: Facts) -> list[Diagnosis]:
    """Find runs that were trained in lockstep: their times are not those of runs by themselves."""
    runs = [one for one in facts.counted if len(one.record.get("together") or ()) > 1]
    if not runs:
        return []
    return [
        Diagnosis(
            "in-lockstep",
            "note",
            "Seconds were measured in lockstep",
            f"{len(runs)} of {len(facts.counted)} runs shared their loading, and frozen layers with the same weights",
            ("compare times between runs that were trained without --together", "everything else is the same"),
            tuple(dict.fromkeys(one.run.arm for one in runs)),
        )
    ]


def automatic_optimizer(facts: Facts) -> list[Diagnosis]:
    """Find runs whose optimizer and learning rate Ultralytics chose by itself."""
    return [
        one.says(
            "automatic-optimizer",
            "warning",
            "Ultralytics chose the optimizer",
            f"optimizer=auto: lr0={one.arguments.get('lr0')} and momentum were ignored",
            "name the optimizer, such as optimizer=SGD: auto may choose otherwise for arms of other lengths",
        )
        for one in facts.runs
        if str(one.settings.get("optimizer", "")).lower() == "auto"
    ]


def settings_of(one: RunFacts) -> dict[str, Any]:
    """Return everything that decides what a run learns, but for its plan and its seed, as plain values."""
    arguments = {key: value for key, value in one.arguments.items() if key not in HARMLESS}
    if one.run.ours:  # args.yaml is then that of one stage, whose own settings are the plan's
        arguments = {key: value for key, value in arguments.items() if key not in (*STAGE_KEYS, "distill_model")}
        asked = one.record.get("settings")
        if isinstance(asked, Mapping):
            arguments |= {key: value for key, value in asked.items() if key not in HARMLESS}
    if one.epochs is not None:
        arguments["epochs"] = one.epochs
    arguments["data"] = _short(one.record.get("data") or one.arguments.get("data"))
    arguments["model"] = _start(one)
    if one.run.ours:
        batches = {batch for stage in one.stages if (batch := stage.count("batch")) is not None}
        if batches:
            arguments["batch"] = min(batches)
        arguments["weights"] = _short(one.record.get("weights"))
        arguments["teacher"] = _short(one.record.get("teacher"))
        arguments["pretraining"] = one.record.get("pretrain")
        versions = one.record.get("versions")
        for name in ("ultralytics", "torch", "frostline"):
            if isinstance(versions, Mapping) and name in versions:
                arguments[f"version of {name}"] = versions[name]
    return arguments


def _start(one: RunFacts) -> str:
    model = one.record.get("model") or one.arguments.get("model")
    pretrained = one.arguments.get("pretrained")
    if not one.run.ours and isinstance(pretrained, str) and pretrained.lower() not in {"true", "false"}:
        return f"{_short(model)} with weights {_short(pretrained)}"
    return str(_short(model))


def _short(path: Any) -> Any:
    """The last parts of a path: the same dataset lies elsewhere on another machine."""
    return "/".join(PurePath(path).parts[-3:]) if isinstance(path, str) else path


Group = tuple[Any, list[RunFacts]]


def _groups(runs: Sequence[RunFacts], values: Mapping[str, Any]) -> list[Group]:
    """Sort runs by value, the commonest first."""
    groups: dict[str, Group] = {}
    for one in runs:
        value = values[one.label]
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = float(value)  # 3 and 3.0 are one setting
        groups.setdefault(json.dumps(value, sort_keys=True, default=str), (values[one.label], []))[1].append(one)
    return sorted(groups.values(), key=lambda group: -len(group[1]))


def _written(groups: Sequence[Group]) -> str:
    arms = {one.run.arm for _, members in groups for one in members}
    parts = []
    for index, (value, members) in enumerate(groups):
        others = [one for number, (_, rest) in enumerate(groups) if number != index for one in rest]
        split = {one.run.arm for one in others}
        names = list(dict.fromkeys(one.label if one.run.arm in split else one.run.arm for one in members))
        usual = index == 0 and len(names) > 3 and len(arms) > len(groups)
        parts.append(f"{_value(value)} ({'all others' if usual else listed(names)})")
    return ", ".join(parts)


def _value(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _declared(facts: Facts, key: str, groups: Sequence[Group]) -> bool:
    """Whether the study file itself gives the odd arms this value."""
    study = facts.evidence.study
    if key == "epochs" and study.get("unequal_epochs") is True:
        return True
    arms = study.get("arms")
    own = next((name for name, told in _OWN_KEYS.items() if told == key), None)
    if own is None or not isinstance(arms, Mapping):
        return False
    odd = {one.run.arm for _, members in groups[1:] for one in members}
    # A model of an arm's own replaces the study's weights too.
    wanted = {own, "model"} if own == "weights" else {own}
    return all(isinstance(arms.get(arm), Mapping) and wanted & set(arms[arm]) for arm in odd)
