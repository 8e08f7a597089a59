"""How strongly, and how consistently from batch to batch, the loss pulls at each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.errors import InputError
from frostline.freezing import find_layers
from frostline.freezing.apply import BatchNorm
from frostline.freezing.layers import is_fixed, layer_index

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
        scaled: the same products with every coordinate divided by its root mean square over the batches, as Adam
            divides it (Kingma and Ba, ICLR 2015).
        weights: L2 norm of each layer's weights.
    """

    products: dict[int, Products]
    scaled: dict[int, Products]
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


def signal_to_noise(products: Products) -> float:
    """Give the signal-to-noise ratio of a gradient over n batches.

    With the mean gradient m and, coordinate by coordinate, the unbiased variance v over the batches, it is the squared
    norm of m divided by the sum of v. Lee et al. (Surgical Fine-Tuning, ICLR 2023) average the ratio of each coordinate
    instead; with few batches that average hangs on the coordinates whose variance happens to be near zero, so both are
    summed here before they are divided. Pure noise gives about 1 / n, a gradient that never changes infinity.

    Args:
        products: (n, n) inner products of the gradients of n batches, n at least 2.
    """
    count = len(products)
    signal = float(products.sum()) / count**2
    noise = (float(np.trace(products)) - count * signal) / (count - 1)
    return signal / noise if noise > _TINY else float("inf")


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
            raise InputError(f"the loss on a batch is {float(value)}: the model's weights or the images are broken")
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
    products, scaled = {}, {}
    for index in sorted(gathered):
        products[index], scaled[index] = _products(gathered.pop(index))
    return GradientSet(products, scaled, norms)


def hold_statistics(model: nn.Module) -> None:
    """Put a model in training mode, whose outputs the loss takes, with every BatchNorm in eval mode."""
    model.train()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.eval()


def _products(gradients: Sequence[torch.Tensor]) -> tuple[Products, Products]:
    """Return the inner products of flat gradients, and those of the gradients scaled as Adam scales them."""
    stacked = torch.stack(list(gradients)).double()
    plain = stacked @ stacked.T
    # Half of the division on either side of the product.
    stacked *= stacked.square().mean(0).add_(_TINY).pow_(-0.25)
    return plain.numpy(), (stacked @ stacked.T).numpy()
