"""What is written down of a freeze: what is frozen, what was measured of it, and what its audit found. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frostline.freezing.selectors import describe_indices, layer_index


@dataclass(frozen=True)
class Freeze:
    """What a stage freezes in one model. Names are dotted and start below the layer list (`0.conv.weight`).

    Attributes:
        selected_layers: layers that the stage picks whole, with or without parameters of their own.
        total_layers: layers of the model.
        frozen: parameters that do not train.
        trainable: parameters that train.
        fixed: parameters that never train by design (DFL); in neither of the above.
        kept_fresh: parameters in the selection that stay trainable because they did not come from the checkpoint whole.
        batchnorms: BatchNorm modules held in eval mode.
        frozen_count: number of frozen weights.
        trainable_count: number of trainable weights.
        fixed_count: number of fixed weights.
    """

    selected_layers: tuple[int, ...]
    total_layers: int
    frozen: tuple[str, ...]
    trainable: tuple[str, ...]
    fixed: tuple[str, ...]
    kept_fresh: tuple[str, ...]
    batchnorms: tuple[str, ...]
    frozen_count: int
    trainable_count: int
    fixed_count: int

    @property
    def frozen_share(self) -> float:
        """Share of the model's parameters that is frozen, 0 to 1 (fixed ones count as part of the model)."""
        return self.frozen_count / max(self.frozen_count + self.trainable_count + self.fixed_count, 1)

    @property
    def depth(self) -> int | None:
        """Number of leading layers frozen, if they are frozen whole and nothing else is; else None."""
        count = len(self.selected_layers)
        if self.selected_layers != tuple(range(count)) or self.kept_fresh:
            return None
        return count if all(layer_index(name) < count for name in self.frozen) else None

    @property
    def trainable_layers(self) -> tuple[int, ...]:
        """Layers with at least one trainable parameter."""
        return tuple(sorted({layer_index(name) for name in self.trainable}))

    def describe(self) -> str:
        """Say in one line what is frozen."""
        parts = sorted({layer_index(name) for name in self.frozen} - set(self.selected_layers))
        partly = f" and parts of {describe_indices(parts)}" if parts else ""
        text = (
            f"frozen layers {describe_indices(self.selected_layers)}{partly} of {self.total_layers}: "
            f"{self.frozen_count:,} of {self.frozen_count + self.trainable_count + self.fixed_count:,} parameters "
            f"({self.frozen_share:.1%}), {len(self.batchnorms)} BatchNorms held"
        )
        if self.kept_fresh:
            text += f"; {len(self.kept_fresh)} fresh tensors in them stay trainable"
        return text


@dataclass(frozen=True)
class AuditCheck:
    """One question asked of a run.

    Attributes:
        name: what was checked.
        passed: the answer.
        detail: what was found, in words, with the first offenders by name.
    """

    name: str
    passed: bool
    detail: str


@dataclass
class Audit:
    """All checks of a run or a stage."""

    checks: list[AuditCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True when every check passed and there was at least one."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """`PASS` or `FAIL`."""
        return "PASS" if self.passed else "FAIL"

    @property
    def failures(self) -> list[AuditCheck]:
        """The checks that failed."""
        return [check for check in self.checks if not check.passed]

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain data for `audit.json`."""
        checks = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks]
        return {"verdict": self.verdict, "checks": checks, "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Audit:
        """Read what `to_dict` gave."""
        return cls([AuditCheck(**check) for check in values["checks"]], list(values["notes"]))


@dataclass(frozen=True)
class EpochSignals:
    """What was measured in one finished epoch, by layer index; a layer that did not train is absent.

    Attributes:
        gradients: mean L2 norm of the gradient over the epoch's optimizer steps.
        weights: L2 norm of the weights at the end of the epoch.
        moved: L2 norm of the difference of the weights between the end and the start of the epoch.
        lr: the share of the first learning rate that the run's schedule stood at.
    """

    gradients: dict[int, float] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    moved: dict[int, float] = field(default_factory=dict)
    lr: float = 1.0


@dataclass(frozen=True)
class Decision:
    """A change between two epochs.

    Attributes:
        epoch: from 0, the first that it holds for.
        frozen: layers that freeze.
        thawed: layers that thaw.
        why: in words.
    """

    epoch: int
    frozen: tuple[int, ...]
    thawed: tuple[int, ...]
    why: str
