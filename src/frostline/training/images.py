"""Batches on their way to the network, and to the eye."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from frostline.datasets import PixelFormat
from frostline.datasets.draw import tone_map
from frostline.datasets.exact import to_unit


def to_device(batch: dict[str, Any], device: torch.device, pixels: PixelFormat) -> dict[str, Any]:
    """Move a batch's tensors to the device, and its images into [0, 1] by their range.

    Args:
        batch: Ultralytics' batch; `img` is (N, 3, H, W).
        device: where to.
        pixels: of the images.

    Returns:
        A new batch whose `img` is float32.
    """
    blocking = device.type in {"cpu", "mps"}
    moved = {
        key: value.to(device, non_blocking=not blocking) if isinstance(value, torch.Tensor) else value
        for key, value in batch.items()
    }
    moved["img"] = to_unit(moved["img"], pixels)
    return moved


def pictures(batch: dict[str, Any], pixels: PixelFormat) -> dict[str, Any]:
    """Return a batch whose images Ultralytics can plot: tone-mapped to 8 bits, each by itself.

    Args:
        batch: with `img` (N, 3, H, W) in [0, 1]; it is not changed.
        pixels: of the images; those of 8 bits are left as they are.
    """
    if not pixels.deep:
        return batch
    images = batch["img"].detach().cpu().numpy().transpose(0, 2, 3, 1)
    mapped = np.stack([tone_map(image) for image in images]).transpose(0, 3, 1, 2)
    return {**batch, "img": torch.from_numpy(np.ascontiguousarray(mapped))}


def float32_convolutions() -> None:
    """Keep a GPU from rounding the inputs of convolutions to the 11 bits of TF32, which cuDNN does unless told not to.

    Source: PyTorch documentation, "TensorFloat-32 (TF32) on Ampere (and later) devices".
    """
    torch.backends.cudnn.allow_tf32 = False
