"""A stage bound to a model: for every epoch, which layers train and at what share of the learning rate.

What an epoch does follows from the stage and from what was measured in the epochs before, and from nothing else: a
resumed run that reads those measurements back finds the same decisions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from frostline.errors import InputError
from frostline.freezing.apply import freeze_selection, frozen_selection, resolve_freeze
from frostline.freezing.frozen import Decision, EpochSignals, Freeze
from frostline.freezing.layers import find_layers, is_fixed, layer_roles
from frostline.freezing.schedules import Adaptive, FreezeOut
from frostline.freezing.selecting import select
from frostline.freezing.selectors import Selection, describe_indices
from frostline.freezing.stage import Stage


class BoundStage:
    """A stage bound to a model.

    Args:
        model: see `find_layers`.
        stage: with its epochs filled in.
        fresh: names of tensors that did not come from a checkpoint whole.
        freeze_fresh: freeze those too.

    Attributes:
        scheduled: whether anything changes within the stage or rates differ between layers.
        absolute: whether rates replace the run's learning-rate schedule (FreezeOut) rather than scale it.

    Raises:
        InputError: the stage does not fit the model or its number of epochs.
    """

    def __init__(self, model: Any, stage: Stage, fresh: Iterable[str] = (), freeze_fresh: bool = False) -> None:
        assert stage.epochs is not None
        self.model, self.stage, self.epochs = model, stage, stage.epochs
        self.fresh, self.freeze_fresh = frozenset(fresh), freeze_fresh
        layers = find_layers(model)
        self.total = len(layers)
        self.roles = layer_roles(model)
        self.weighted = tuple(
            index for index, layer in enumerate(layers)
            if any(not is_fixed(f"{index}.{name}") for name, _ in layer.named_parameters())
        )  # fmt: skip
        self.base = resolve_freeze(model, stage, self.fresh, freeze_fresh)
        self.absolute = stage.freezeout is not None
        self._held = frozenset(self.base.selected_layers)
        self._parts = frozen_selection(model, stage).modules
        self._rates = self._fixed_rates()
        self._thaws = self._thaw_order()
        self._times = self._freezing_times()
        self._check()

    @property
    def scheduled(self) -> bool:
        """Whether the stage needs more than one fixed set of trainable layers with one learning rate."""
        return self.stage.scheduled

    @property
    def foreseeable(self) -> bool:
        """Whether every epoch is known beforehand, without measurements."""
        return self.stage.adaptive is None and not (self.stage.rates is not None and self.stage.rates.auto)

    def factors(self, epoch: int, signals: Sequence[EpochSignals] = (), gone: float = 0.0) -> tuple[float, ...]:
        """Return each layer's learning rate in an epoch, as a share; 0 is frozen.

        Args:
            epoch: from 0.
            signals: of the epochs before, at least as many where the stage decides by them.
            gone: share of the epoch that has passed, 0 to 1: FreezeOut's rates fall with every step.
        """
        frozen = self.frozen(epoch, signals)
        automatic = self._relative_norms(epoch, signals)
        out = []
        for index in range(self.total):
            if index in frozen:
                out.append(0.0)
            else:
                out.append(self._rates[index] * automatic.get(index, 1.0) * self._freezeout(index, epoch + gone))
        return tuple(out)

    def frozen(self, epoch: int, signals: Sequence[EpochSignals] = ()) -> frozenset[int]:
        """Return the layers that are frozen whole in an epoch; see `factors`."""
        frozen = set(self._held)
        for number, group in enumerate(self._thaws, 1):
            assert self.stage.unfreeze is not None
            if epoch >= number * self.stage.unfreeze.every:
                frozen -= set(group)
        frozen |= {index for index, rate in enumerate(self._rates) if rate == 0}
        frozen |= {index for index, time in self._times.items() if epoch >= time * self.epochs}
        if self.stage.adaptive is not None:
            frozen |= self._settled(self.stage.adaptive, epoch, signals)[0]
        return frozenset(frozen)

    def freeze(self, epoch: int, signals: Sequence[EpochSignals] = ()) -> Freeze:
        """Return what is frozen in an epoch, tensor by tensor.

        Fresh tensors stay trainable only in layers that have been frozen since the start: those that have trained are
        not random any more.
        """
        frozen = self.frozen(epoch, signals)
        if frozen == self._held:
            return self.base
        # What was frozen at the start and still is has never trained: no schedule freezes such a layer again.
        untouched = frozen & self.frozen(0)
        fresh = [name for name in self.fresh if int(name.split(".", 1)[0]) in untouched]
        parts = tuple(module for module in self._parts if int(module.split(".", 1)[0]) not in frozen)
        return freeze_selection(self.model, Selection(tuple(sorted(frozen)), parts), fresh, self.freeze_fresh)

    def decisions(self, epochs: int, signals: Sequence[EpochSignals] = ()) -> list[Decision]:
        """List every change between the first epoch and a later one.

        Args:
            epochs: number of epochs to go through.
            signals: of the epochs before the last of them.
        """
        found = []
        for epoch in range(1, epochs):
            before, now = self.frozen(epoch - 1, signals), self.frozen(epoch, signals)
            if before != now:
                frozen, thawed = tuple(sorted(now - before)), tuple(sorted(before - now))
                found.append(Decision(epoch, frozen, thawed, self._why(epoch, signals)))
        return found

    def _fixed_rates(self) -> list[float]:
        rates, out = self.stage.rates, [1.0] * self.total
        if rates is None:
            return out
        if rates.decay is not None:
            for steps, index in enumerate(reversed(self.weighted)):
                out[index] = rates.decay**steps
        taken: dict[int, str] = {}
        for selector, factor in (rates.by or {}).items():
            for index in select(selector, self.model).layers:
                if index in taken:
                    raise InputError(f"rates: layer {index} is in both '{taken[index]}' and '{selector}'")
                taken[index], out[index] = selector, factor
        return out

    def _thaw_order(self) -> list[tuple[int, ...]]:
        """Return the groups of layers that thaw, in order."""
        plan = self.stage.unfreeze
        if plan is None:
            return []
        waiting = [index for index in self.weighted if index in self._held]
        if not waiting:
            raise InputError(f"unfreeze: '{self.stage.selector}' freezes no layer with weights, so none can thaw")
        if plan.start == "head":
            waiting.reverse()
        if plan.by == "layer":
            return [(index,) for index in waiting]
        groups: dict[str, list[int]] = {}
        for index in waiting:
            groups.setdefault(self.roles[index], []).append(index)
        return [tuple(group) for group in groups.values()]

    def _freezing_times(self) -> dict[int, float]:
        plan = self.stage.freezeout
        if plan is None:
            return {}
        last = self.weighted[-1]
        times = {}
        for rank, index in enumerate(self.weighted):
            time = plan.first + (1 - plan.first) * rank / max(len(self.weighted) - 1, 1)
            times[index] = time**3 if plan.cubed else time
        times[last] = 1.0
        return times

    def _freezeout(self, index: int, epoch: float) -> float:
        plan: FreezeOut | None = self.stage.freezeout
        if plan is None or index not in self._times:
            return 1.0
        time = self._times[index]
        factor = 0.5 * (1 + math.cos(math.pi * min(epoch / self.epochs / time, 1)))
        return factor / time if plan.scaled else factor

    def _relative_norms(self, epoch: int, signals: Sequence[EpochSignals]) -> dict[int, float]:
        """Give each layer's relative gradient norm in the epoch before, the largest being 1."""
        if self.stage.rates is None or not self.stage.rates.auto or epoch == 0:
            return {}
        # A layer that was frozen in the epoch before is measured by the last epoch in which it trained.
        norms: dict[int, float] = {}
        for past in signals[:epoch]:
            for index, gradient in past.gradients.items():
                if past.weights.get(index, 0) > 0 and math.isfinite(gradient):
                    norms[index] = gradient / past.weights[index]
        largest = max(norms.values(), default=0.0)
        return {index: norm / largest for index, norm in norms.items()} if largest > 0 else {}

    def _settled(
        self, plan: Adaptive, epoch: int, signals: Sequence[EpochSignals]
    ) -> tuple[frozenset[int], dict[int, float]]:
        """Walk through the epochs before and return what has frozen, and the last changes measured."""
        candidates = [index for index in self.weighted if index not in self._held and self._rates[index] > 0]
        frozen: list[int] = []
        calm = dict.fromkeys(candidates, 0)
        changes: dict[int, float] = {}
        rate_at_freeze: float | None = None
        for past in range(1, min(epoch, len(signals))):
            if plan.thaw is not None and rate_at_freeze and signals[past].lr < plan.thaw * rate_at_freeze:
                frozen, calm, rate_at_freeze = [], dict.fromkeys(candidates, 0), None
                continue  # a thawed layer has no change to its epoch before
            active = [index for index in candidates if index not in frozen]
            changes = _changes(plan, active, signals[past - 1], signals[past])
            if len(changes) < 2:
                continue
            limit = float(np.percentile(list(changes.values()), plan.percentile))
            for index in active:
                calm[index] = calm[index] + 1 if changes.get(index, math.inf) < limit else 0
            restless = [rank for rank, index in enumerate(active[:-1]) if calm[index] < plan.patience]
            settled = active[: min(restless, default=len(active) - 1)]
            if past == 1 and len(settled) == len(active) - 1 > 1:
                raise InputError(
                    f"adaptive: percentile {plan.percentile:g} with patience {plan.patience} freezes layers "
                    f"{describe_indices(settled)} at the first look, all but the last; lower one or raise the other"
                )
            if settled:
                frozen, rate_at_freeze = [*frozen, *settled], signals[past].lr
        return frozenset(frozen), changes

    def _why(self, epoch: int, signals: Sequence[EpochSignals]) -> str:
        if self.stage.adaptive is not None:
            changes = self._settled(self.stage.adaptive, epoch, signals)[1]
            told = ", ".join(f"{index}: {change:.3g}" for index, change in sorted(changes.items()))
            return f"relative change of the {self.stage.adaptive.signal} by layer: {told}"
        return "the layer's time has come" if self.stage.freezeout is not None else "its turn to thaw"

    def _check(self) -> None:
        """Refuse a schedule that does not fit the stage."""
        unfreeze = self.stage.unfreeze
        if unfreeze is not None and len(self._thaws) * unfreeze.every >= self.epochs:
            raise InputError(
                f"unfreeze: {len(self._thaws)} thaws, one every {unfreeze.every} epochs, need more than the stage's "
                f"{self.epochs} epochs; thaw more often, thaw roles, or freeze fewer layers"
            )
        for epoch in range(self.epochs if self.foreseeable else 1):
            active = [index for index in self.weighted if index not in self.frozen(epoch)]
            if not active:
                raise InputError(f"epoch {epoch + 1} freezes everything ({describe_indices(range(self.total))})")


def _changes(plan: Adaptive, active: Sequence[int], before: EpochSignals, now: EpochSignals) -> dict[int, float]:
    """Return how much each layer's signal changed between two epochs, relative to the first."""
    changes = {}
    for index in active:
        if plan.signal == "weights":
            if index in now.moved and now.weights.get(index, 0) > 0:
                changes[index] = now.moved[index] / now.weights[index]
        elif before.gradients.get(index, 0) > 0 and index in now.gradients:
            changes[index] = abs(before.gradients[index] - now.gradients[index]) / before.gradients[index]
    return changes
