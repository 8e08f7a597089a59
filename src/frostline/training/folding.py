"""Convolutions with their BatchNorm folded in: one pass over a feature map instead of two."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules.conv import Conv, DWConv
from ultralytics.utils.torch_utils import fuse_conv_and_bn


def fold(module: nn.Module) -> nn.Module:
    """Fold every BatchNorm within a module into the convolution before it, in place, and return the module.

    Unlike Ultralytics' own `fuse`, a detection head keeps both of its branches, so that its loss can be computed.
    The BatchNorms must be in eval mode to mean the same afterwards. Source: Jacob et al. 2018, "Quantization and
    Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", section 3.2.
    """
    part: Any
    for part in module.modules():
        if type(part) in (Conv, DWConv) and hasattr(part, "bn"):
            layout = _layout(part.conv.weight)
            part.conv = fuse_conv_and_bn(part.conv, part.bn).to(memory_format=layout)
            del part.bn
            part.forward = part.forward_fuse
    return module


def _layout(weight: torch.Tensor) -> torch.memory_format:
    last = weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not weight.is_contiguous() else torch.contiguous_format


def folded_copies(layers: Iterable[nn.Module], dtype: torch.dtype | None) -> list[nn.Module]:
    """Copy layers that do not train, folded and with weights in a precision, leaving the layers as they are.

    Args:
        layers: in eval mode, as far as BatchNorms go.
        dtype: of the copies' weights; None for that of the layers.
    """
    copies = []
    with torch.no_grad():
        for layer in layers:
            copy = fold(deepcopy(layer)).eval()
            for parameter in copy.parameters():
                parameter.requires_grad_(False)
            copies.append(copy if dtype is None else copy.to(dtype))
    return copies


def fused_copy(model: nn.Module) -> nn.Module:
    """Copy a detector for inference: BatchNorms folded, and channels last where the device gains by it."""
    copy = fold(deepcopy(model).eval())
    return copy if next(copy.parameters()).device.type == "mps" else copy.to(memory_format=torch.channels_last)
