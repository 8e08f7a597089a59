"""Labels and splits: reading and checking a data.yaml, converting label formats, laying datasets out."""

from __future__ import annotations

from frostline.datasets.check import LabelSummary, check_labels
from frostline.datasets.dataset import Dataset, label_path, load_dataset
from frostline.datasets.kitti import KittiSummary, convert_kitti
from frostline.datasets.layout import split_names, write_dataset

__all__ = [
    "Dataset",
    "KittiSummary",
    "LabelSummary",
    "check_labels",
    "convert_kitti",
    "label_path",
    "load_dataset",
    "split_names",
    "write_dataset",
]
