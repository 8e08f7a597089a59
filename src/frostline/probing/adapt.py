"""A fresh head, adapted for a few steps before anything is measured, so that it does not drown the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from frostline.freezing import find_layers
from frostline.freezing.selectors import layer_index
from frostline.probing.gradients import hold_statistics

CACHE_BYTES = 2**30
"""Memory that the head's inputs may take: of batches beyond it, none is adapted on."""


def fresh_in_head(model: nn.Module, fresh: Iterable[str]) -> list[str]:
    """Return the fresh tensors of the last layer."""
    last = len(find_layers(model)) - 1
    return sorted(name for name in fresh if layer_index(name) == last)


def adapt_head(
    model: nn.Module,
    fresh: Sequence[str],
    batches: Sequence[dict[str, Any]],
    steps: int,
    lr: float,
    ready: Callable[[dict[str, Any]], dict[str, Any]],
    after: Callable[[], None] = lambda: None,
) -> tuple[float, float] | None:
    """Take a few AdamW steps on fresh tensors of the last layer; everything else, statistics too, stays.

    Fresh tensors train in every arm, whatever it freezes. Until they have, what the loss asks of the other layers is
    the answer to random outputs. As nothing below the head moves, its inputs are computed once for each batch.

    Args:
        model: changed in place: give a copy.
        fresh: names below the layer list, all of the last layer.
        batches: gone through in turn.
        steps: of the optimizer; 0 does nothing.
        lr: its learning rate.
        ready: moves a batch to the model's device, images in [0, 1].
        after: called after every step.

    Returns:
        The mean loss an image over those batches before and after; None where nothing was done.
    """
    if not fresh or steps < 1:
        return None
    layers = find_layers(model)
    hold_statistics(model)
    parameters = dict(layers.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in fresh)
    optimizer = torch.optim.AdamW([parameters[name] for name in fresh], lr=lr, weight_decay=0.0)
    cached = _head_inputs(model, batches[:steps], ready)
    head = layers[-1]

    def loss(step: int) -> torch.Tensor:
        features, batch = cached[step % len(cached)]
        # A head may write into the list that it is given.
        value, _ = model.loss(batch, preds=head(list(features)))  # type: ignore[operator]
        return value.sum() / len(batch["img"])  # type: ignore[no-any-return]

    def mean() -> float:
        with torch.no_grad():
            return sum(float(loss(step)) for step in range(len(cached))) / len(cached)

    before = mean()
    for step in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(loss(step))
        optimizer.step()
        after()
    return before, mean()


@torch.no_grad()
def _head_inputs(
    model: nn.Module, batches: Sequence[dict[str, Any]], ready: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[tuple[list[torch.Tensor], dict[str, Any]]]:
    seen: list[Any] = []
    handle = find_layers(model)[-1].register_forward_pre_hook(lambda _module, inputs: seen.append(list(inputs[0])))
    cached: list[tuple[list[torch.Tensor], dict[str, Any]]] = []
    used = 0
    try:
        for given in batches:
            batch = ready(given)
            model(batch["img"])
            features = seen.pop()
            used += sum(feature.nbytes for feature in features)
            if cached and used > CACHE_BYTES:
                break
            cached.append((features, batch))
    finally:
        handle.remove()
    return cached
