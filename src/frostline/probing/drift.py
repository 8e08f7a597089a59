"""How far the inputs of BatchNorms have moved from the statistics that the checkpoint stores for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from frostline.freezing import find_layers
from frostline.freezing.apply import BatchNorm
from frostline.freezing.selectors import layer_index


@dataclass(frozen=True)
class LayerDrift:
    """The drift of one layer's BatchNorms, each number a mean over all of their channels.

    Attributes:
        channels: of its BatchNorms together.
        mean_shift: |mean here - stored mean| / stored standard deviation.
        variance_shift: |ln(variance here / stored variance)|.
        kl: of the Gaussian with the moments here from the one with the stored moments, nats; see `gaussian_kl`.
    """

    channels: int
    mean_shift: float
    variance_shift: float
    kl: float


def gaussian_kl(
    mean: torch.Tensor, variance: torch.Tensor, stored_mean: torch.Tensor, stored_variance: torch.Tensor
) -> torch.Tensor:
    """Give KL(N(mean, variance) || N(stored_mean, stored_variance)) in nats, element by element."""
    ratio = variance / stored_variance
    return 0.5 * (ratio - 1 - ratio.log() + (mean - stored_mean).square() / stored_variance)


@dataclass
class _Moments:
    """Running sums of a BatchNorm's inputs, by channel, in double precision."""

    count: int = 0
    total: torch.Tensor | None = None
    squares: torch.Tensor | None = None

    def add(self, values: torch.Tensor) -> None:
        values = values.detach().transpose(0, 1).flatten(1).double()
        total, squares = values.sum(1).cpu(), values.square().sum(1).cpu()
        self.count += values.shape[1]
        self.total = total if self.total is None else self.total + total
        self.squares = squares if self.squares is None else self.squares + squares


class DriftMeter:
    """Sums up what BatchNorms are given, while `watching`.

    Args:
        model: see `find_layers`.
    """

    def __init__(self, model: nn.Module) -> None:
        self.norms = {
            name: module
            for name, module in find_layers(model).named_modules()
            if isinstance(module, BatchNorm) and module.running_mean is not None
        }
        self.moments = {name: _Moments() for name in self.norms}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at every input of every BatchNorm while the block runs; the model is left as it was."""

        def look(name: str) -> Any:
            def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
                self.moments[name].add(inputs[0])

            return hook

        handles = [module.register_forward_pre_hook(look(name)) for name, module in self.norms.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def read(self) -> dict[int, LayerDrift]:
        """Return the drift of each layer that has BatchNorms that were used.

        The eps of a BatchNorm is part of either variance, as it is part of what it divides by: a channel that is always
        near zero has not drifted because its tiny variance doubled.
        """
        shifts: dict[int, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = {}
        for name, module in self.norms.items():
            seen = self.moments[name]
            if seen.total is None or seen.squares is None:
                continue
            mean = seen.total / seen.count
            variance = (seen.squares / seen.count - mean.square()).clamp(min=0) + module.eps
            stored_mean = module.running_mean.detach().double().cpu()  # type: ignore[union-attr]
            stored = module.running_var.detach().double().cpu() + module.eps  # type: ignore[union-attr]
            shifts.setdefault(layer_index(name), []).append(
                (
                    (mean - stored_mean).abs() / stored.sqrt(),
                    (variance / stored).log().abs(),
                    gaussian_kl(mean, variance, stored_mean, stored),
                )
            )
        found = {}
        for index, rows in sorted(shifts.items()):
            means, ratios, divergences = (torch.cat(parts) for parts in zip(*rows, strict=True))
            values = [float(part.mean()) for part in (means, ratios, divergences)]
            if all(math.isfinite(value) for value in values):
                found[index] = LayerDrift(len(means), *values)
        return found
