"""What a diagnosis is, and how the same one of several runs becomes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

ANCHORS = {
    "everything-frozen": "nothing-trainable",
    "frozen-in-name-only": "frozen-in-name-only",
    "batchnorm-training": "batchnorm-of-frozen-layers-in-training-mode",
    "audit-failed": "the-audit-failed",
    "frozen-random": "random-weights-were-frozen",
    "nothing-moved": "no-weight-moved",
    "diverged": "a-run-diverged",
    "nan-in-results": "nan-in-resultscsv",
    "out-of-memory": "out-of-memory",
    "damaged-file": "a-file-is-damaged",
    "unfinished": "unfinished-runs",
    "left-out": "runs-left-out-of-the-statistics",
    "worse-stage": "stage-2-is-worse-than-stage-1",
    "unequal-settings": "arms-with-unequal-settings",
    "other-machine": "runs-from-different-machines",
    "in-lockstep": "times-measured-in-lockstep",
    "automatic-optimizer": "lr0-has-no-effect",
    "other-images": "arms-with-different-validation-sets",
    "fewer-seeds": "an-arm-with-fewer-seeds",
    "few-seeds": "too-few-seeds",
    "few-images": "too-few-validation-images",
    "rare-classes": "too-few-objects-of-a-class",
    "no-difference": "no-difference-between-arms",
    "still-rising": "curves-still-rising-at-the-end",
}
"""Every code, most serious first, and its entry in docs/troubleshooting.md."""

_SHOWN = 5


@dataclass(frozen=True)
class Diagnosis:
    """Something that a reader of the results must know, found in the files of the runs.

    Attributes:
        code: one of `ANCHORS`.
        severity: `error`: numbers are wrong or missing; `warning`: a comparison may mislead; `note`: good to know.
        title: one line, without the runs' names; see `about`.
        detail: what was found, with its numbers; a line for each thing.
        try_: what to do, most promising first.
        arms: names of the arms that it is about; empty where it is about all.
        runs: arm and seed of each run that it is about; empty where it is about arms.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    try_: tuple[str, ...]
    arms: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """Its entry in docs/troubleshooting.md."""
        return ANCHORS[self.code]

    @property
    def about(self) -> str:
        """Whom it is about, in words: `3 runs of baseline and 1 run of freeze_1_to_3`; empty for all."""
        if not self.runs:
            return listed(self.arms)
        if len(self.runs) == 1:
            return self.runs[0]
        counts = Counter(label.rpartition(", seed ")[0] or label for label in self.runs)
        return listed([f"{count} run{'s' if count > 1 else ''} of {arm}" for arm, count in counts.items()])


def listed(words: Sequence[str], most: int = 4) -> str:
    """Join words as a sentence does, at most `most` of them: `a, b and c`."""
    shown = [*words[:most], f"{len(words) - most} more"] if len(words) > most + 1 else list(words)
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else ""


def merged(found: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Put diagnoses of one kind together, and the most serious first; of equal ones, in the order of `ANCHORS`."""
    groups: dict[tuple[str, str, str], list[Diagnosis]] = {}
    for one in found:
        groups.setdefault((one.code, one.severity, one.title), []).append(one)
    rank = list(ANCHORS)
    return sorted(
        (_one(group) for group in groups.values()),
        key=lambda one: (SEVERITIES.index(one.severity), rank.index(one.code)),
    )


def _one(group: Sequence[Diagnosis]) -> Diagnosis:
    first = group[0]
    if len(group) == 1:
        return first
    by_detail: dict[str, list[str]] = {}
    for one in group:
        by_detail.setdefault(one.detail, []).extend(one.runs or one.arms)
    lines = [detail for detail in by_detail]
    if len(by_detail) > 1:
        lines = [f"{listed(names)}: {detail}" for detail, names in by_detail.items()]
    if len(lines) > _SHOWN + 1:
        lines = [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more of this kind"]
    return Diagnosis(
        first.code,
        first.severity,
        first.title,
        "\n".join(lines),
        _union(one.try_ for one in group),
        _union(one.arms for one in group),
        _union(one.runs for one in group),
    )


def _union(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for part in parts for word in part))
