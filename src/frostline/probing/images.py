"""The images that a probe looks at: seeded batches of the training split, and pairs of source and target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from ultralytics.cfg import get_cfg
from ultralytics.data.augment import LetterBox

from frostline.datasets import PixelFormat
from frostline.datasets.build import build_split
from frostline.datasets.described import described
from frostline.datasets.exact import to_unit
from frostline.errors import InputError
from frostline.training.checkpoints import rounded_imgsz
from frostline.training.predict_sources import ImageLoader, KnownFormats
from frostline.training.preparing import CheckedData
from frostline.training.settings import for_ultralytics
from frostline.training.spec import RunSpec

Pair = tuple[Path, Path]


def build_arguments(spec: RunSpec, model: nn.Module) -> Any:
    """Return Ultralytics' arguments for a run; they are given to the model, as its loss reads them there."""
    settings = spec.stage_settings(spec.plan.stages[0])
    settings["imgsz"] = rounded_imgsz(int(settings["imgsz"]), model)[0]
    model.args = get_cfg(overrides={**for_ultralytics(settings), "task": "detect", "mode": "train", "data": spec.data})
    return model.args


def stride_of(model: nn.Module) -> int:
    """Return what sides of an image must be a multiple of."""
    return max(int(torch.as_tensor(model.stride).max()), 32)


def target_batches(spec: RunSpec, data: CheckedData, model: nn.Module, count: int) -> list[dict[str, Any]]:
    """Load batches of training images, as validation sees images: resized and padded, not augmented.

    Each batch is padded to the smallest rectangle that holds its images, so that grey borders weigh little.

    Args:
        spec: with the image size, the batch size and the seed that picks the images.
        data: its dataset.
        model: to fit.
        count: batches at most; a small split gives fewer, none with fewer images than the others.

    Returns:
        Ultralytics' batches, images in the type that they are stored in.

    Raises:
        InputError: the split has not enough images for two batches.
    """
    args = build_arguments(spec, model)
    info = described(data.dataset.yaml)
    # A "batch" of one gives every image the rectangle that it needs by itself.
    dataset = build_split(args, info["train"], 1, info, data.pixels, mode="val", rect=True, stride=stride_of(model))
    size, total = int(args.batch), len(dataset)
    count = min(count, total // size)
    if count < 2:
        raise InputError(
            f"{spec.data}: {total} training images make no two batches of {size}, and what differs between batches is "
            f"what a probe measures; give --batch {max(total // 2, 1)} or less"
            if total > 1
            else f"{spec.data}: one training image is too few to probe on"
        )
    picked = np.random.default_rng(spec.seed).permutation(total)[: count * size].reshape(count, size)
    batches = []
    for indices in picked:
        dataset.batch_shapes[indices] = dataset.batch_shapes[indices].max(0)
        batches.append(dataset.collate_fn([dataset[int(index)] for index in indices]))
    return batches


def training_batch(spec: RunSpec, data: CheckedData, model: nn.Module) -> Any:
    """Return a function that loads one training batch as training does, augmented and square."""
    args = build_arguments(spec, model)
    info = described(data.dataset.yaml)
    stride = stride_of(model)
    dataset = build_split(args, info["train"], args.batch, info, data.pixels, mode="train", rect=False, stride=stride)

    def load() -> dict[str, Any]:
        batch: dict[str, Any] = dataset.collate_fn([dataset[index % len(dataset)] for index in range(args.batch)])
        return batch

    return load


def paired_images(
    pairs: Sequence[Pair], source: KnownFormats, target: KnownFormats, imgsz: int, size: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Read pairs of images and give them in batches, both versions resized and padded alike.

    Args:
        pairs: (source, target) files.
        source: what is known of the source images' format.
        target: of the target images'.
        imgsz: the long side, pixels; a multiple of 32.
        size: pairs a batch, at most; images of another shape begin a new one.
        device: where the tensors go.

    Yields:
        Source and target, each (b, 3, h, w) float32 in [0, 1].

    Raises:
        InputError: an image cannot be read.
    """
    readers = ImageLoader([], source), ImageLoader([], target)
    waiting: tuple[list[torch.Tensor], list[torch.Tensor]] = [], []
    for files in pairs:
        images = [_fitted(*reader.read(file), imgsz) for reader, file in zip(readers, files, strict=True)]
        full = len(waiting[0]) == size
        if waiting[0] and (full or any(w[0].shape != i.shape for w, i in zip(waiting, images, strict=True))):
            yield torch.stack(waiting[0]).to(device), torch.stack(waiting[1]).to(device)
            waiting = [], []
        for kept, image in zip(waiting, images, strict=True):
            kept.append(image)
    if waiting[0]:
        yield torch.stack(waiting[0]).to(device), torch.stack(waiting[1]).to(device)


def _fitted(image: NDArray[Any], pixels: PixelFormat, imgsz: int) -> torch.Tensor:
    """Resize an image (H, W, 3), blue first, and pad it to a multiple of 32: (3, h, w) in [0, 1], red first."""
    letterbox = LetterBox(imgsz, auto=True, stride=32, padding_value=pixels.padding)
    fitted = np.ascontiguousarray(letterbox(image=image)[..., ::-1].transpose(2, 0, 1))
    return to_unit(torch.from_numpy(fitted), pixels)
