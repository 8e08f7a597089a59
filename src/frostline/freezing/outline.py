"""A plan laid out on a model before any run: for every epoch and layer, frozen or at what share of the rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from frostline.freezing.bound import BoundStage
from frostline.freezing.layers import Role, layer_roles
from frostline.freezing.plan import FreezePlan


@dataclass(frozen=True)
class StageOutline:
    """One stage of an outline.

    Attributes:
        first: its first epoch in the run, from 1.
        epochs: its length.
        selector: what its selector freezes, in words.
        factors: for each epoch, each layer's share of the stage's learning rate; 0 is frozen.
        parts: layers of which a part is frozen at its start.
        kept_fresh: number of tensors that stay trainable in frozen layers, as they are fresh.
        decided: what later epochs do is decided during the run, from its own measurements; `factors` then shows the
            first epoch throughout.
    """

    first: int
    epochs: int
    selector: str
    factors: tuple[tuple[float, ...], ...]
    parts: tuple[int, ...]
    kept_fresh: int
    decided: bool


@dataclass(frozen=True)
class PlanOutline:
    """A whole plan on a model.

    Attributes:
        roles: of every layer.
        weighted: layers that have weights to train.
        stages: in order.
    """

    roles: tuple[Role, ...]
    weighted: tuple[int, ...]
    stages: tuple[StageOutline, ...]

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, with a row of factors for each epoch."""
        rows = [list(row) for stage in self.stages for row in stage.factors]
        stages = [
            {"first": s.first, "epochs": s.epochs, "selector": s.selector, "decided_during_the_run": s.decided}
            for s in self.stages
        ]
        return {"epochs": self.epochs, "roles": list(self.roles), "stages": stages, "factors": rows}


def outline(model: Any, plan: FreezePlan, epochs: int) -> PlanOutline:
    """Lay a plan out on a model.

    Args:
        model: see `find_layers`; its weights are taken to come from a checkpoint.
        plan: the plan.
        epochs: of a plan that does not name its own.

    Raises:
        InputError: the plan does not fit the model or the epochs.
    """
    stages: list[StageOutline] = []
    first, weighted = 1, tuple[int, ...]()
    for stage in plan.with_epochs(epochs).stages:
        bound = BoundStage(model, stage, freeze_fresh=plan.freeze_fresh)
        start = bound.freeze(0)
        whole = set(start.selected_layers)
        parts = sorted({int(name.split(".", 1)[0]) for name in start.frozen} - whole)
        factors = tuple(bound.factors(epoch if bound.foreseeable else 0) for epoch in range(bound.epochs))
        stages.append(
            StageOutline(
                first, bound.epochs, stage.selector, factors, tuple(parts), len(start.kept_fresh), not bound.foreseeable
            )
        )
        first, weighted = first + bound.epochs, bound.weighted
    return PlanOutline(tuple(layer_roles(model)), weighted, tuple(stages))
