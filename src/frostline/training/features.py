"""What a frozen backbone makes of each image, computed once: opt-in, for training without augmentation.

Such an image is the same in every epoch, and so is what layers that do not train make of it. Without augmentation a
detector learns less; docs/performance.md states by how much in one measured case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from frostline.errors import InputError
from frostline.freezing import Freeze

VARYING: Mapping[str, float] = {
    "mosaic": 0, "mixup": 0, "cutmix": 0, "copy_paste": 0, "degrees": 0, "translate": 0, "scale": 0, "shear": 0,
    "perspective": 0, "fliplr": 0, "flipud": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "bgr": 0, "multi_scale": 0,
}  # fmt: skip
"""Training arguments that make an image another one in every epoch, and what turns each off."""


def check_features(settings: Mapping[str, Any], freezes: Sequence[Freeze], backbone: int, teacher: bool) -> None:
    """Make sure that features can be kept, where they are asked for.

    Args:
        settings: resolved training arguments.
        freezes: what each stage freezes where it starts.
        backbone: layers of the model's backbone.
        teacher: the run distils from a teacher.

    Raises:
        InputError: augmentation is on, a teacher listens, or no stage freezes the whole backbone.
    """
    if not settings.get("cache_features"):
        return
    from ultralytics.utils import DEFAULT_CFG_DICT

    on = [key for key, off in VARYING.items() if settings.get(key, DEFAULT_CFG_DICT.get(key, off)) not in (off, None)]
    if on:
        raise InputError(
            f"cache_features: {', '.join(on)} would make an image another one in every epoch; set "
            f"{' '.join(f'{key}=0' for key in on)}, or leave cache_features out"
        )
    if teacher:
        raise InputError("cache_features: not with a teacher, which listens to the layers; leave cache_features out")
    if not any((freeze.depth or 0) >= backbone for freeze in freezes):
        raise InputError(
            f"cache_features: no stage freezes the whole backbone (layers 0 to {backbone - 1}); freeze it, or leave "
            "cache_features out"
        )


class FeatureStore:
    """Outputs of the frozen prefix that later layers take, image by image, in one memory-mapped file.

    Args:
        path: of the file; it is made when the first batch has told the sizes.
        files: of the training images.
        least: layers that must be frozen for it to be used.
    """

    def __init__(self, path: Path, files: Sequence[str], least: int) -> None:
        self.least = least
        self.hits = 0
        self._path = path
        self._places = {file: place for place, file in enumerate(files)}
        self._known = np.zeros(len(files), bool)
        self._depth = 0
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._dtype = torch.float32
        self._map: np.ndarray[Any, np.dtype[np.uint8]] | None = None
        self._batch: list[int] = []

    def forget(self) -> None:
        """Drop everything that is known."""
        self._known[:] = False

    def next_batch(self, files: Sequence[str]) -> None:
        """Say which images the next batch has."""
        self._batch = [self._places[file] for file in files]

    def load(self, depth: int) -> dict[int, torch.Tensor] | None:
        """Return the batch's outputs by layer, or None where one of its images is not known at this depth."""
        if depth != self._depth or self._map is None or not self._batch or not self._known[self._batch].all():
            return None
        rows = torch.from_numpy(self._map[self._batch]).view(self._dtype)
        found, start = {}, 0
        for layer, shape in self._shapes.items():
            size = prod(shape)
            values = rows[:, start : start + size].reshape(len(self._batch), *shape)
            found[layer] = values.permute(0, 3, 1, 2)  # kept with channels last
            start += size
        self.hits += 1
        return found

    def store(self, depth: int, outputs: Mapping[int, torch.Tensor]) -> None:
        """Keep the batch's outputs (N, C, H, W) by layer; a depth other than before starts anew."""
        shapes = {layer: tuple(value.permute(0, 2, 3, 1).shape[1:]) for layer, value in outputs.items()}
        dtypes = {value.dtype for value in outputs.values()}
        if len(dtypes) != 1 or len(self._batch) != next(iter(outputs.values())).shape[0]:
            return
        if depth != self._depth or shapes != self._shapes:
            self._begin(depth, shapes, dtypes.pop())
        assert self._map is not None
        rows = [value.detach().permute(0, 2, 3, 1).flatten(1).cpu() for value in outputs.values()]
        self._map[self._batch] = torch.cat(rows, 1).contiguous().view(torch.uint8).numpy()
        self._known[self._batch] = True

    def _begin(self, depth: int, shapes: dict[int, tuple[int, ...]], dtype: torch.dtype) -> None:
        size = sum(map(prod, shapes.values())) * dtype.itemsize
        self._map = None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._map = np.memmap(self._path, np.uint8, "w+", shape=(len(self._known), size)).view(np.ndarray)
        self._depth, self._shapes, self._dtype = depth, shapes, dtype
        self._known[:] = False
