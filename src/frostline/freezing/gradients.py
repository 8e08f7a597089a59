"""Gradient norms of an epoch, summed where the gradients are: nothing waits for a GPU before the epoch's end."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import nn

from frostline.freezing.selectors import layer_index


class GradientNorms:
    """Adds up each layer's gradient L2 norm over optimizer steps, and notes which tensors ever had a gradient.

    Args:
        parameters: every parameter by its name below the layer list.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = dict(parameters)
        self._names = list(self._parameters)
        self._layers = [layer_index(name) for name in self._names]
        self._rows: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] = {}
        self._seen: set[int] = set()
        self._heard: torch.Tensor | None = None
        self._sums: torch.Tensor | None = None
        self._steps = 0

    def observe(self, scale: float = 1.0) -> None:
        """Take the gradients as they are; those that are not finite count for nothing, as the step leaves them out.

        Args:
            scale: what the loss was multiplied with.
        """
        gradients = {i: g for i, name in enumerate(self._names) if (g := self._parameters[name].grad) is not None}
        present = tuple(gradients)
        if not present:
            return
        norms = torch.stack(torch._foreach_norm(list(gradients.values()), 2))
        # MPS has no float64; a float32 square of a scaled norm could overflow, so the scale goes first
        norms = norms.to(torch.float32 if norms.device.type == "mps" else torch.float64) / scale
        if present not in self._rows:
            places = torch.tensor(present, device=norms.device)
            self._rows[present] = places, torch.tensor([self._layers[i] for i in present], device=norms.device)
        places, layers = self._rows[present]
        if self._heard is None or self._sums is None:
            self._heard = torch.zeros(len(self._names), dtype=torch.bool, device=norms.device)
            self._sums = norms.new_zeros(2, max(self._layers) + 1)
        finite = torch.isfinite(norms)
        self._heard[places] |= finite & (norms > 0)
        squares = norms.new_zeros(self._sums.shape[1]).index_add_(0, layers, norms.square())
        whole = torch.isfinite(squares)
        self._sums[0] += torch.where(whole, squares.sqrt(), 0)
        self._sums[1] += whole
        self._seen.update(present)
        self._steps += 1

    def close_epoch(self, layers: Collection[int]) -> dict[int, float]:
        """Return the mean norm over the steps since the last call, and start anew.

        Args:
            layers: those asked for.

        Returns:
            By layer index; NaN for a layer whose gradients were finite at no step; empty when there was no step.
        """
        if not self._steps or self._sums is None:
            return {}
        sums, steps = self._sums.tolist()
        self._sums.zero_()
        self._steps = 0
        return {index: sums[index] / steps[index] if steps[index] else math.nan for index in sorted(layers)}

    @property
    def seen(self) -> frozenset[str]:
        """Tensors that had a gradient, of any value."""
        return frozenset(self._names[place] for place in self._seen)

    @property
    def heard(self) -> frozenset[str]:
        """Tensors that had a finite gradient other than zero at some step."""
        flags = [] if self._heard is None else self._heard.tolist()
        return frozenset(name for name, flag in zip(self._names, flags, strict=False) if flag)


def norms_by_layer(tensors: Mapping[str, torch.Tensor]) -> dict[int, float]:
    """Return the L2 norm of all tensors of each layer together.

    Args:
        tensors: by name below the layer list.
    """
    if not tensors:
        return {}
    norms = torch.stack(torch._foreach_norm([tensor.detach() for tensor in tensors.values()], 2)).tolist()
    squares: dict[int, float] = {}
    for name, norm in zip(tensors, norms, strict=True):
        squares[layer_index(name)] = squares.get(layer_index(name), 0.0) + norm * norm
    return {index: math.sqrt(square) for index, square in squares.items()}
