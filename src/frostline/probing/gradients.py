"""How strongly, and how consistently from batch to batch, the loss pulls at each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.errors import InputError
from frostline.freezing import find_layers
from frostline.freezing.apply import BatchNorm
from frostline.freezing.layers import is_fixed
from frostline.freezing.selectors import layer_index

Products = NDArray[np.float64]
_TINY = 1e-30


@dataclass(frozen=True)
class LayerGradient:
    """The gradient of one layer, over batches.

    Attributes:
        norm: mean L2 norm over the batches.
        relative: that norm divided by the L2 norm of the layer's weights.
        snr: signal-to-noise ratio, see `signal_to_noise`.
    """

    norm: float
    relative: float
    snr: float


@dataclass(frozen=True)
class GradientSet:
    """What is kept of the gradients of several batches: their inner products, layer by layer.

    Norms, signal and noise of any group of layers, and of any resample of the batches, follow from them.

    Attributes:
        products: for each layer with weights that can train, the (n, n) inner products of its n gradients.
        weights: L2 norm of each layer's weights.
    """

    products: dict[int, Products]
    weights: dict[int, float]

    @property
    def batches(self) -> int:
        """Number of gradients."""
        return len(next(iter(self.products.values())))

    def layer(self, index: int) -> LayerGradient:
        """Sum up one layer."""
        products = self.products[index]
        norm = float(np.sqrt(np.diagonal(products)).mean())
        return LayerGradient(norm, norm / max(self.weights[index], _TINY), signal_to_noise(products))


def signal_to_noise(products: Products, counts: NDArray[np.float64] | None = None) -> float:
    """Give the signal-to-noise ratio of a gradient over batches.

    The signal is the mean inner product of the gradients of two different batches: an unbiased estimate of the squared
    norm of the gradient that all batches share. The noise is what is left of their mean squared norm: the sum over the
    coordinates of the unbiased variance. Pure noise gives 0 on average (and values a little below), gradients that are
    all the same give infinity, and at 1 a step along the gradient of one batch is half noise in energy.

    Lee et al. (Surgical Fine-Tuning, ICLR 2023) average the ratio mean^2 / variance of the coordinates instead. With a
    few batches that average hangs on coordinates whose variance happens to be near zero, so both are summed here before
    they are divided.

    Args:
        products: (n, n) inner products of the gradients of n batches, n at least 2.
        counts: (n,) how often each batch counts, as a bootstrap draws them; at least two different ones.
    """
    counts = np.ones(len(products)) if counts is None else counts
    pairs = np.outer(counts, counts)
    np.fill_diagonal(pairs, 0.0)
    signal = float((pairs * products).sum() / pairs.sum())
    noise = float(np.diagonal(products) @ counts / counts.sum()) - signal
    if noise <= _TINY:
        return float("inf") if signal > _TINY else 0.0
    return signal / noise


def collect_gradients(
    model: nn.Module,
    batches: Iterable[dict[str, Any]],
    loss: Callable[[nn.Module, dict[str, Any]], torch.Tensor],
    after: Callable[[], None] = lambda: None,
) -> GradientSet:
    """Measure the gradient of every layer on each batch.

    BatchNorms are in eval mode: they normalise by the checkpoint's statistics, as frozen ones do, so that the gradient
    of an image does not depend on its neighbours in the batch, and nothing in the model changes.

    Args:
        model: see `find_layers`; its flags and gradients are changed, its weights are not.
        batches: at least 2.
        loss: returns the scalar loss of a batch.
        after: called after every batch.

    Raises:
        InputError: fewer than 2 batches, or a loss that is not finite.
    """
    layers = find_layers(model)
    names = [name for name, _ in layers.named_parameters() if not is_fixed(name)]
    for name, parameter in layers.named_parameters():
        parameter.requires_grad_(not is_fixed(name))
    hold_statistics(model)
    parameters = dict(layers.named_parameters())
    gathered: dict[int, list[torch.Tensor]] = {}
    for batch in batches:
        value = loss(model, batch)
        if not bool(torch.isfinite(value)):
            raise InputError(f"the loss on a batch is {float(value.detach())}: broken weights or images")
        gradients = torch.autograd.grad(value, [parameters[name] for name in names], allow_unused=True)
        by_layer: dict[int, list[torch.Tensor]] = {}
        for name, gradient in zip(names, gradients, strict=True):
            flat = torch.zeros_like(parameters[name]) if gradient is None else gradient
            by_layer.setdefault(layer_index(name), []).append(flat.detach().flatten().float().cpu())
        for index, parts in by_layer.items():
            gathered.setdefault(index, []).append(torch.cat(parts))
        after()
    if not gathered or len(next(iter(gathered.values()))) < 2:
        raise InputError("gradients need at least 2 batches")
    weights: dict[int, float] = {}
    for name in names:
        index = layer_index(name)
        weights[index] = weights.get(index, 0.0) + float(parameters[name].detach().double().square().sum())
    norms = {index: square**0.5 for index, square in weights.items()}
    products = {}
    for index in sorted(gathered):
        stacked = torch.stack(gathered.pop(index)).double()
        products[index] = (stacked @ stacked.T).numpy()
    return GradientSet(products, norms)


def hold_statistics(model: nn.Module) -> None:
    """Put a model in training mode, whose outputs the loss takes, with every BatchNorm in eval mode."""
    model.train()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.eval()
