"""One forward pass of a model without its numbers: the output shape and the operations of each layer.

On torch's meta device nothing is computed. But torch's own rules for it, and its `FlopCounterMode`, import torch's
compiler as they are first used, which takes longer than all the rest. So the operations that detectors are mostly made
of are worked out here, and any other is left to torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations by the formulas of `torch.utils.flop_counter` (a multiply-add counts as two).

    Attributes:
        count: of all that ran so far within the context.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch imports its compiler to keep it away from here

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        rule = _RULES.get(func._overloadpacket)
        result = rule(*args) if rule is not None else None
        if result is None and formula is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if result is None:
            result = func(*args, **kwargs)
        if formula is not None:
            self.count += formula(*args, **kwargs, out_val=result)
        return result


def _like(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.new_empty(tensor.shape)


def _sum(one: Any, other: Any) -> torch.Tensor | None:
    if isinstance(other, int | float) and not isinstance(other, bool) and one.dtype.is_floating_point:
        return _like(one)
    both = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
    return _like(one) if both and one.shape == other.shape and one.dtype == other.dtype else None


def _product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor | None:
    if one.shape[0] != other.shape[0] or one.shape[2] != other.shape[1] or one.dtype != other.dtype:
        return None
    return one.new_empty([*one.shape[:2], other.shape[2]])


def _softmax(scores: torch.Tensor, _: Any, to_float: bool) -> torch.Tensor | None:
    return None if to_float else _like(scores)


def _normalization(image: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, ...] | None:
    training = rest[4]
    return None if training else (_like(image), image.new_empty(0), image.new_empty(0))


def _upsampling(image: torch.Tensor, size: Any, *_: Any) -> torch.Tensor:
    return image.new_empty([*image.shape[:2], *size])


def _convolution(
    image: torch.Tensor, weight: torch.Tensor, _: Any, stride: Any, padding: Any, dilation: Any, *rest: Any
) -> torch.Tensor | None:
    transposed, _, groups = rest
    if transposed or image.ndim != weight.ndim or image.shape[1] != weight.shape[1] * groups:
        return None
    sides = _slid(image.shape[2:], weight.shape[2:], stride, padding, dilation)
    return image.new_empty([image.shape[0], weight.shape[0], *sides]) if min(sides) > 0 else None


def _pooling(
    image: torch.Tensor,
    kernel: Any,
    stride: Any = (),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    ceil: bool = False,
) -> tuple[torch.Tensor, torch.Tensor] | None:
    if ceil or image.ndim != 4 or not len(kernel) == len(padding) == len(dilation) == 2 or len(stride) == 1:
        return None
    sides = _slid(image.shape[2:], kernel, stride or kernel, padding, dilation)
    shape = [*image.shape[:2], *sides]
    return (image.new_empty(shape), image.new_empty(shape, dtype=torch.int64)) if min(sides) > 0 else None


def _slid(sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> list[int]:
    """How often a window fits along each side."""
    each = zip(sizes, kernel, stride, padding, dilation, strict=True)
    return [(size + 2 * pad - gap * (window - 1) - 1) // step + 1 for size, window, step, pad, gap in each]


def _concatenation(tensors: Sequence[torch.Tensor], dim: int = 0) -> torch.Tensor | None:
    first = tensors[0]
    dim %= first.ndim
    rest = [[*one.shape[:dim], *one.shape[dim:][1:]] for one in tensors]
    if any(one != rest[0] for one in rest) or any(one.dtype != first.dtype for one in tensors):
        return None
    return first.new_empty([*first.shape[:dim], sum(one.shape[dim] for one in tensors), *first.shape[dim + 1 :]])


_RULES: Mapping[Any, Callable[..., Any]] = {
    aten.convolution: _convolution,
    aten.native_batch_norm: _normalization,
    aten.silu: _like,
    aten.relu: _like,
    aten.sigmoid: _like,
    aten.add: _sum,
    aten.mul: _sum,
    aten.bmm: _product,
    aten._softmax: _softmax,
    aten.cat: _concatenation,
    aten.max_pool2d_with_indices: _pooling,
    aten.upsample_nearest2d: _upsampling,
}
"""What an operation gives on the meta device, from its positional arguments; None where that is left to torch."""


def trace(
    shadow: nn.Module, layers: nn.Sequential, inputs: torch.Tensor
) -> tuple[list[tuple[int, ...] | None], list[int]]:
    """Run a model that may be changed, and on the meta device, once.

    Args:
        shadow: a copy of the model; hooks stay on it.
        layers: its layers.
        inputs: (1, 3, H, W) on the meta device.

    Returns:
        Each layer's output shape without the batch (None where it is not one tensor), and its operations.

    Raises:
        RuntimeError, TypeError, ValueError: the model cannot run on such inputs.
    """
    shapes: list[tuple[int, ...] | None] = [None] * len(layers)
    flops = [0] * len(layers)
    counter = Operations()

    def watch(index: int, module: nn.Module) -> None:
        def before(_module: nn.Module, _inputs: Any) -> None:
            flops[index] -= counter.count

        def after(_module: nn.Module, _inputs: Any, output: Any) -> None:
            flops[index] += counter.count
            shapes[index] = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else None

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)

    for index, module in enumerate(layers):
        watch(index, module)
    with torch.no_grad(), counter:
        shadow(inputs)
    return shapes, flops
