"""Was what should be frozen, frozen, and did the rest train?"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from frostline.files import read_yaml
from frostline.report.diagnoses.facts import Facts, RunFacts, StageFacts
from frostline.report.diagnoses.model import Diagnosis

FLAT_EPOCHS = 3
"""Epochs with the very same mAP from which on nothing can have moved: two may be equal by chance when mAP is 0."""

ALWAYS_FROZEN = 16
"""Weights of the DFL convolution, which Ultralytics freezes in every model."""

_NOTHING_LEFT = re.compile("freezes everything|does not require grad")  # ours, and torch's when a loss has no gradient
_STATISTICS = "statistics of frozen BatchNorms"
_IN_NAME = ("frozen weights", "requires_grad", "checkpoint holds")
_SCALED = re.compile(r"^(?P<family>.*\d)[a-z](?P<rest>(-.*)?)$")


def nothing_trainable(facts: Facts) -> list[Diagnosis]:
    """Find runs in which nothing could train, or nothing did."""
    known = {
        str(one.record.get("model")): int(one.record["total_layers"])
        for one in facts.runs
        if isinstance(one.record.get("total_layers"), int)
    }
    found = []
    for one in facts.runs:
        detail = _all_frozen(one, known)
        if detail:
            found.append(
                one.says(
                    "everything-frozen",
                    "error",
                    "Nothing was trainable",
                    detail,
                    "freeze fewer layers: frostline layers MODEL --freeze SELECTOR shows what is left",
                    'with a script of your own: YOLO(...).model has one child, so "the first n" of its children is '
                    "the whole model; take the layers in model.model",
                )
            )
        elif flat := _flat(one):
            found.append(
                one.says(
                    "nothing-moved",
                    "warning",
                    "No weight moved",
                    flat,
                    "set nbs to the batch size, so that every batch is an optimizer step, or train longer",
                    "look at the learning rate and at what is frozen",
                )
            )
    return found


def audits(facts: Facts) -> list[Diagnosis]:
    """Read what the audits found: frozen in name only, BatchNorm statistics that moved, and other failures."""
    found = []
    for one in facts.runs:
        for number, audit in one.audits:
            where = f"stage {number}: " if len(one.audits) > 1 else ""
            for check in audit.get("checks") or []:
                if isinstance(check, Mapping) and check.get("passed") is False:
                    found.append(_failed(one, str(check.get("name")), f"{where}{check.get('detail')}"))
    return found


def batchnorms(facts: Facts) -> list[Diagnosis]:
    """Find frozen layers whose BatchNorms were left in training mode."""
    found = []
    for one in facts.runs:
        details = [
            f"stage {stage.number} froze {len(stage.record['frozen_layers'])} layers "
            f"({stage.count('frozen_parameters'):,} parameters) and held none of their BatchNorms"
            for stage in one.stages
            if stage.record.get("frozen_layers")
            and stage.count("batchnorms_held") == 0
            and (stage.count("frozen_parameters") or 0) > ALWAYS_FROZEN
        ]
        details += [
            f"a summary in its log counts {summary['frozen_params']:,} frozen parameters and {summary['bn_train']} "
            f"BatchNorms in training mode, {summary['bn_eval']} in eval"
            for summary in one.summaries
            if summary.get("frozen_params", 0) > ALWAYS_FROZEN and summary.get("bn_eval") == 0
        ]
        found += [_in_training_mode(one, detail) for detail in dict.fromkeys(details)]
    return found


def random_weights(facts: Facts) -> list[Diagnosis]:
    """Find runs that froze weights which were never trained."""
    found = []
    for one in facts.runs:
        detail = _frozen_random(one)
        if detail:
            found.append(
                one.says(
                    "frozen-random",
                    "error",
                    "Random weights were frozen",
                    detail,
                    "start from a checkpoint: --weights, or a model that ends in .pt",
                    "leave --freeze-fresh off, so that what did not come from the checkpoint trains",
                )
            )
    return found


def starts_from(one: RunFacts) -> str | None:
    """Return the checkpoint that a run started from, empty for random weights, None where the files do not tell."""
    transfer = one.record.get("transfer")
    if isinstance(transfer, Mapping):
        return str(transfer.get("source") or "") if transfer.get("loaded") else ""
    model, pretrained = one.arguments.get("model"), one.arguments.get("pretrained")
    if isinstance(pretrained, str) and pretrained.lower() not in {"true", "false"}:
        return pretrained
    if not isinstance(model, str) or not model:
        return None
    # With a YAML, Ultralytics takes weights only where `pretrained` names them: `true` loads none.
    return "" if Path(model).suffix in {".yaml", ".yml"} else model


def _all_frozen(one: RunFacts, known: Mapping[str, int]) -> str | None:
    for stage in one.stages:
        if stage.count("trainable_parameters") == 0:
            return (
                f"stage {stage.number} has no trainable parameter, {stage.count('frozen_parameters') or 0:,} are frozen"
            )
    if _NOTHING_LEFT.search(str(one.record.get("reason") or "")):
        return f"it stopped with: {one.record['reason']}"
    if any(summary.get("trainable_params") == 0 for summary in one.summaries):
        return "a summary in its log counts 0 trainable parameters"
    freeze, model = one.arguments.get("freeze"), str(one.arguments.get("model") or "")
    if isinstance(freeze, int):
        frozen = freeze
    elif isinstance(freeze, list) and freeze and all(str(part).isdigit() for part in freeze):
        frozen = len(set(map(str, freeze)))
    else:
        return None
    layers = known.get(model) or shipped_layers(model)
    return f"args.yaml has freeze={frozen}, and the model has {layers} layers" if layers and frozen >= layers else None


def _flat(one: RunFacts) -> str | None:
    for number, audit in one.audits:
        for note in audit.get("notes") or []:
            if "no trainable weight moved" in str(note):
                return f"the audit of stage {number} says so: too few optimizer steps, or a rate of 0"
    stage: StageFacts = one.stages[-1]
    values = stage.values
    if len(values) >= FLAT_EPOCHS and len(set(values)) == 1 and values[0] > 0:
        return f"mAP50-95 is {values[0]:.5f} in each of {len(values)} epochs, to the last digit"
    return None


def _failed(one: RunFacts, check: str, detail: str) -> Diagnosis:
    if check.startswith(_STATISTICS):
        return _in_training_mode(one, f"statistics that were to stay put moved: {detail}")
    if any(part in check for part in _IN_NAME):
        return one.says(
            "frozen-in-name-only",
            "error",
            "Frozen in name only",
            f"failed: {check}; {detail}",
            "do not use this run's numbers",
            "set requires_grad after Ultralytics set up its training, or pass freeze=: frostline train --freeze does",
        )
    return one.says(
        "audit-failed",
        "error",
        "The audit failed",
        f"failed: {check}; {detail}",
        "read audit.json and do not use this run's numbers",
        "run it again; where it fails again, look at the plan with frostline layers MODEL --freeze SELECTOR",
    )


def _in_training_mode(one: RunFacts, detail: str) -> Diagnosis:
    return one.says(
        "batchnorm-training",
        "error",
        "BatchNorm of frozen layers in training mode",
        detail,
        "put the BatchNorms of frozen layers in eval after every model.train(), as frostline train and Ultralytics' "
        "own freeze= do; a callback at the start of an epoch comes too early",
        "do not compare this run with others: its frozen layers followed the data",
    )


def _frozen_random(one: RunFacts) -> str | None:
    transfer, plan = one.record.get("transfer"), one.record.get("plan")
    fresh = transfer.get("fresh") if isinstance(transfer, Mapping) else None
    layers = one.record.get("frozen_layers")
    if isinstance(plan, Mapping) and plan.get("freeze_fresh") and isinstance(fresh, Sequence) and layers:
        inside = [name for name in fresh if str(name).split(".", 1)[0] in set(map(str, layers))]
        if inside:
            return f"{len(inside)} tensors in frozen layers did not come from the checkpoint whole, such as {inside[0]}"
    if not one.run.ours and one.frozen_layers and starts_from(one) == "":
        return f"args.yaml freezes {one.frozen_layers} layers of {one.arguments.get('model')} and names no weights"
    return None


@cache
def shipped_layers(model: str) -> int | None:
    """Count the layers of a model that Ultralytics ships, by its YAML; None for any other.

    Args:
        model: a name such as `yolo11s.pt`, or a path that ends in one.
    """
    package = importlib.util.find_spec("ultralytics")  # found without importing it, which takes seconds
    stem = Path(model).stem
    scaled = _SCALED.match(stem)
    stems = {stem, scaled["family"] + scaled["rest"]} if scaled else {stem}
    for folder in package.submodule_search_locations or [] if package else []:
        for path in sorted((Path(folder) / "cfg" / "models").rglob("*.yaml")):
            if path.stem in stems:
                content: Any = read_yaml(path, "a model YAML")
                return len(content["backbone"]) + len(content["head"])
    return None
