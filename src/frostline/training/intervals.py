"""The stretches of a scheduled stage with one set of trainable tensors each, and their audits joined into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from frostline.freezing import Audit, AuditCheck


@dataclass
class Interval:
    """Epochs, counted from 1, in which the same tensors trained.

    Attributes:
        first: first epoch.
        last: last epoch, or None while it goes on.
        frozen_layers: layers frozen whole.
        fingerprints: of every frozen tensor and statistic at its start.
        audit: as plain data, once it is over.
        got_gradient: trainable tensors that had a gradient in it, once it is over.
    """

    first: int
    last: int | None = None
    frozen_layers: list[int] = field(default_factory=list)
    fingerprints: dict[str, str] = field(default_factory=dict)
    audit: dict[str, Any] | None = None
    got_gradient: list[str] = field(default_factory=list)


def interval_of(intervals: Sequence[Interval], epoch: int) -> Interval:
    """Return the interval that an epoch, counted from 1, belongs to."""
    return max((one for one in intervals if one.first <= epoch), key=lambda one: one.first)


def merge_audits(intervals: Sequence[Interval]) -> Audit:
    """Join the audits of all intervals; each check says for which epochs it was made."""
    merged = Audit()
    for one in intervals:
        assert one.audit is not None
        span = f"epoch {one.first}" if one.first == one.last else f"epochs {one.first} to {one.last}"
        for check in one.audit["checks"]:
            merged.checks.append(AuditCheck(f"{check['name']} ({span})", bool(check["passed"]), check["detail"]))
        merged.notes += [f"{note} ({span})" for note in one.audit["notes"]]
    return merged
