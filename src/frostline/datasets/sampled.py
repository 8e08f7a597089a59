"""A fixed random part of a split, for measurements that need not see all of it."""

from __future__ import annotations

import random
from typing import Any

from frostline.datasets.scanned import ScannedDataset


class SampledDataset(ScannedDataset):
    """Ultralytics' dataset, cut down to a seeded sample of its images.

    The whole split is scanned as always, so its label cache stays valid for training; the sample is taken afterwards.

    Args:
        keep: images at most; None for all.
        sample_seed: of the sample; the same images for the same seed and the same file list.
        kwargs: those of `YOLODataset`.
    """

    def __init__(self, *args: Any, keep: int | None, sample_seed: int, **kwargs: Any) -> None:
        self._keep = keep
        self._sample_seed = sample_seed
        super().__init__(*args, **kwargs)

    def get_labels(self) -> list[dict[str, Any]]:
        """Read the labels of the split, then keep the sample, in its old order."""
        labels: list[dict[str, Any]] = super().get_labels()
        if self._keep is not None and len(labels) > self._keep:
            chosen = sorted(random.Random(self._sample_seed).sample(range(len(labels)), self._keep))
            labels = [labels[index] for index in chosen]
            self.im_files = [label["im_file"] for label in labels]
        return labels
