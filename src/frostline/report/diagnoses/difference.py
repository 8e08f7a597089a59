"""No difference between arms: found, or only not seen, and what may be behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frostline.analysis import Equivalence, Estimate, Panel, difference_spread, equivalence, estimate_difference, needed
from frostline.analysis.inference import ONE_POINT
from frostline.report.diagnoses import images
from frostline.report.diagnoses.facts import Facts, RunFacts, points
from frostline.report.diagnoses.frozen import starts_from
from frostline.report.diagnoses.model import Diagnosis, listed

METRIC = "ultralytics/mAP50-95"
WANTED = 0.8
"""Chance to find a difference of a point that the advice on seeds and images is for."""

MOST_SEEDS = 100
"""Seeds an arm above which nobody runs a study, and `needed` is far outside of what it can extrapolate."""

_SHOWN = 4
_RANDOM = "started from random weights"


@dataclass(frozen=True)
class Compared:
    """An arm against the baseline."""

    arm: str
    estimate: Estimate
    test: Equivalence

    @property
    def undecided(self) -> bool:
        """Whether it is neither different nor equivalent; not so where the difference is undefined."""
        return not self.test.equivalent and self.estimate.low <= 0 <= self.estimate.high

    def told(self) -> str:
        """The arm with its difference and interval, in points."""
        one = self.estimate
        return f"{self.arm} {points(one.value, True)} ({points(one.low, True)} to {points(one.high, True)})"


def no_difference(facts: Facts) -> list[Diagnosis]:
    """Find the arms that are not told apart from the baseline, and say why that may be."""
    evidence = facts.evidence
    panel = evidence.panel_of(evidence.baseline) if evidence.baseline is not None else None
    if panel is None or evidence.baseline is None:
        return []
    found = [compared(facts, panel, arm, evidence.baseline) for arm in panel.runs if arm != evidence.baseline]
    equal = [one for one in found if one.test.equivalent]
    unseen = [one for one in found if one.undecided]
    if not equal and not unseen:
        return []
    lines: list[str] = []
    try_: list[str] = []
    same = [one.arm for one in equal if not one.estimate.low and not one.estimate.high]
    if same:
        lines.append(
            f"{listed(same)}: mAP50-95 is that of {evidence.baseline} to the last digit; its plan seems to do nothing"
        )
        try_.append(f"look at what {listed(same)} froze: stages and decisions in run.json")
    if len(equal) > len(same):
        lines.append(
            f"equivalent to {evidence.baseline} within one point of mAP50-95 (two tests at {equal[0].test.level:.0%} "
            f"each): {listed([one.told() for one in equal if one.arm not in same], _SHOWN)}"
        )
    if unseen:
        words, more = _undecided(unseen, evidence.baseline)
        lines.append(words)
        try_.append(more)
    arms = [evidence.baseline, *(one.arm for one in (*equal, *unseen))]
    for line, tries in (_images(facts, arms), _weights(facts, arms), _deeper(facts, arms)):
        lines += line
        try_ += tries
    total, missed = len(found), len(equal) + len(unseen)
    which = f"{missed} of {total} arms are" if total > 1 else "The arm is"
    return [
        Diagnosis(
            "no-difference",
            "warning" if unseen else "note",
            f"{which} not told apart from {evidence.baseline}",
            "\n".join(lines),
            tuple(try_),
            tuple(one.arm for one in (*equal, *unseen)),
        )
    ]


def compared(facts: Facts, panel: Panel, arm: str, baseline: str) -> Compared:
    """Compare an arm with the baseline, for a difference and for equivalence within one point."""
    evidence = facts.evidence
    estimate = estimate_difference(panel.resamples, METRIC, arm, baseline, evidence.confidence, evidence.method)
    found = difference_spread(panel.resamples, METRIC, arm, baseline)
    return Compared(arm, estimate, equivalence(found, ONE_POINT, method=evidence.method))


def _undecided(unseen: Sequence[Compared], baseline: str) -> tuple[str, str]:
    first = unseen[0].estimate
    words = (
        f"undecided (the {first.confidence:.0%} interval holds 0 and reaches beyond a point): "
        f"{listed([one.told() for one in unseen], _SHOWN)}"
    )
    seeds, pictures = [], []
    for one in unseen:
        estimate = one.estimate
        more = needed(estimate.image_error, estimate.seed_error, estimate.images, estimate.seeds, wanted=WANTED)
        seeds.append(more.seeds if more.seeds is not None and more.seeds <= MOST_SEEDS else None)
        pictures.append(more.images)
    parts = [part for part in (_most(pictures, "validation images"), _most(seeds, "seeds an arm")) if part]
    goal = f"for a difference of one point to {baseline}, found with a chance of {WANTED:.0%}"
    if not parts:
        return words, f"more seeds and more validation images together: either alone would not do {goal}"
    if len(parts) == 2:
        parts = [f"{parts[0]} with these seeds, or {parts[1]} on these images,"]
    return words, f"{parts[0]} {goal} (orders of magnitude)"


def _most(numbers: Sequence[int | None], unit: str) -> str:
    """Name the range of numbers needed, rounded to two digits; empty where no number does for any arm."""
    known = sorted(number for number in numbers if number is not None)
    if not known:
        return ""
    low, high = (_round(number) for number in (known[0], known[-1]))
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    short = f" (for {len(known)} of {len(numbers)} arms)" if len(known) < len(numbers) else ""
    return f"about {span} {unit}{short}"


def _round(number: int) -> int:
    digits = max(len(str(number)) - 2, 0)
    return int(round(number, -digits))


def _images(facts: Facts, arms: Sequence[str]) -> tuple[list[str], list[str]]:
    """Say what the training images are; arms with datasets of their own are looked at one by one."""
    sets: dict[str, tuple[str, Mapping[str, Any] | None, list[str]]] = {}
    for arm in arms:
        for one in facts.of_arm(arm)[:1]:
            data = str(one.record.get("data") or one.arguments.get("data") or "")
            pixels = one.record.get("pixels")
            pixels = pixels if isinstance(pixels, Mapping) else None
            sets.setdefault(json.dumps([data, pixels]), (data, pixels, []))[2].append(arm)
    lines: list[str] = []
    tries: list[str] = []
    for data, pixels, members in list(sets.values())[:2]:
        found = images.image_statistics(data, pixels)
        if found is not None:
            who = f"{listed(members)}: " if len(sets) > 1 else ""
            lines += [who + line for line in images.told(found)]
            tries += images.advice(found)
    return lines, tries


def _weights(facts: Facts, arms: Sequence[str]) -> tuple[list[str], list[str]]:
    """Say which arms started from a checkpoint."""
    starts: dict[str, list[str]] = {}
    for arm in arms:
        for one in facts.of_arm(arm)[:1]:
            start = starts_from(one)
            if start is not None:
                starts.setdefault(_start(one, start), []).append(arm)
    if not starts:
        return [], []
    if len(starts) == 1:
        lines = [f"all of them {next(iter(starts))}"]
    else:
        lines = [f"{listed(members)} {start}" for start, members in starts.items()]
    tries = []
    if arms[0] in starts.get(_RANDOM, []):  # the baseline: an arm alone may be meant to
        tries.append("start every arm from a pretrained checkpoint: freezing compares what was learned before")
    return lines, tries


def _start(one: RunFacts, source: str) -> str:
    if not source:
        return _RANDOM
    transfer = one.record.get("transfer")
    name = "/".join(source.replace("\\", "/").split("/")[-3:])
    if isinstance(transfer, Mapping) and transfer.get("total"):
        return f"started from {name} ({transfer.get('loaded')} of {transfer['total']} tensors came from it)"
    return f"started from {name}"


def _deeper(facts: Facts, arms: Sequence[str]) -> tuple[list[str], list[str]]:
    """Say how deep the arms froze, and what to freeze next where even the deepest is not told apart."""
    runs = [one for one in facts.counted if one.run.freeze_depth]
    if not runs:
        return [], ["freeze something: --freeze 0-2, 0-5 or backbone"]
    deepest = max(runs, key=lambda one: one.run.freeze_depth or 0)
    depth, arm = deepest.run.freeze_depth or 0, deepest.run.arm
    total = deepest.record.get("total_layers")
    of = f"{depth} of {total} layers" if total else f"{depth} layers"
    line = f"{arm} freezes most of the first layers: {of}"
    if arm not in arms:
        return [f"{line}, and it does differ"], []
    if any("backbone" in str(stage.record.get("selector") or "") for stage in deepest.stages):
        return [line], ["freeze deeper than the backbone: --freeze backbone,neck trains the head alone"]
    return [line], [f"freeze deeper: --freeze 0-{depth + 2} and --freeze backbone"]
