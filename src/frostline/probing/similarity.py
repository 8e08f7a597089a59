"""How alike a model's features of two versions of the same images are, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from frostline.errors import InputError
from frostline.freezing import find_layers

LEAST_PAIRS = 8
"""Pairs of images below which a similarity is mostly chance."""
GRID = 4
"""Side of the grid that feature maps are averaged on: enough to keep where in the image something is."""


def linear_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Give the linear centred kernel alignment of two sets of features of the same examples.

    Kornblith et al., *Similarity of Neural Network Representations Revisited*, ICML 2019, with the unbiased estimator
    of HSIC of Song et al., *Feature Selection via Dependence Maximization*, JMLR 2012, because the biased one nears 1
    for anything where there are fewer examples than features. 1 is alike up to rotation and scale; independent features
    give 0 on average, and values a little below it.

    Args:
        x: (n, p) features, n at least 4.
        y: (n, q) features of the same n examples.

    Returns:
        At most 1; NaN where the features of one side do not differ between examples.
    """
    if len(x) != len(y) or len(x) < 4:
        raise ValueError(f"expected the same number of examples, at least 4, got {len(x)} and {len(y)}")
    one, other = _kernel(x), _kernel(y)
    own = _unbiased_hsic(one, one) * _unbiased_hsic(other, other)
    return _unbiased_hsic(one, other) / math.sqrt(own) if own > 0 else math.nan


def _kernel(features: torch.Tensor) -> torch.Tensor:
    values = features.double()
    values = values - values.mean(0)  # changes nothing but rounding
    return (values @ values.T).fill_diagonal_(0)


def _unbiased_hsic(k: torch.Tensor, m: torch.Tensor) -> float:
    """Equation 5 of Song et al., for kernel matrices with zeros on the diagonal."""
    n = len(k)
    trace = (k * m.T).sum()
    sums = k.sum() * m.sum() / ((n - 1) * (n - 2))
    rows = 2 / (n - 2) * (k.sum(0) @ m.sum(1))
    return float((trace + sums - rows) / (n * (n - 3)))


def pair_images(source: Sequence[tuple[str, Path]], target: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Find for target images the source versions of the same name.

    Args:
        source: name (path in its folder, without suffix) and file of each source image.
        target: target images.
        folder: the source folder, for messages.

    Returns:
        (source, target) pairs in the order of `target`. A name with its folders (`train/000012`) counts first, then the
        bare stem where it is unique among the source images.

    Raises:
        InputError: fewer than `LEAST_PAIRS` pairs.
    """
    by_name = {name.casefold(): file for name, file in source}
    stems: dict[str, list[Path]] = {}
    for name, file in source:
        stems.setdefault(name.rpartition("/")[2].casefold(), []).append(file)
    pairs = []
    for image in target:
        named = by_name.get(f"{image.parent.name}/{image.stem}".casefold())
        alone = stems.get(image.stem.casefold(), [])
        found = named or (alone[0] if len(alone) == 1 else None)
        if found is not None:
            pairs.append((found, image))
    if len(pairs) < LEAST_PAIRS:
        raise InputError(
            f"{folder}: {len(pairs)} of {len(target)} training images have a source version of the same name there, "
            f"and a similarity needs {LEAST_PAIRS}; give the images that it was converted from, with their names"
        )
    return pairs


@contextmanager
def _watched(model: nn.Module, kept: dict[int, list[torch.Tensor]]) -> Iterator[None]:
    def look(index: int) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                kept.setdefault(index, []).append(adaptive_avg_pool2d(output, GRID).flatten(1).cpu())

        return hook

    handles = [layer.register_forward_hook(look(index)) for index, layer in enumerate(find_layers(model))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def layer_similarity(
    model: nn.Module,
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor]],
    after: Callable[[], None] = lambda: None,
) -> dict[int, float]:
    """Measure linear CKA between the features of two versions of the same images, for every layer.

    Feature maps are averaged on a grid of 4 x 4 cells first.

    Args:
        model: see `find_layers`; put in eval mode by the caller.
        pairs: batches of the two versions, (b, 3, h, w) in [0, 1], image by image in the same order.
        after: called after every batch.

    Returns:
        CKA by layer index; layers that do not give one feature map (the head), or the same for every image, are absent.
    """
    features: tuple[dict[int, list[torch.Tensor]], dict[int, list[torch.Tensor]]] = ({}, {})
    for versions in pairs:
        for kept, images in zip(features, versions, strict=True):
            with _watched(model, kept):
                model(images)
        after()
    found = {}
    for index in sorted(features[0]):
        value = linear_cka(*(torch.cat(kept[index]) for kept in features))
        if math.isfinite(value):
            found[index] = value
    return found
