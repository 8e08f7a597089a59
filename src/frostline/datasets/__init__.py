"""Labels and splits: reading and checking a data.yaml, converting label formats, laying datasets out."""

from __future__ import annotations

from frostline.datasets.check import LabelSummary, check_labels
from frostline.datasets.convert import ConvertSummary, convert_labels
from frostline.datasets.dataset import Dataset, label_path, load_dataset
from frostline.datasets.kitti import KittiSummary, convert_kitti
from frostline.datasets.layout import split_names, write_dataset
from frostline.datasets.pixel_format import EIGHT_BITS, PixelFormat, pixel_format
from frostline.datasets.split import SplitSummary, split_dataset

__all__ = [
    "EIGHT_BITS",
    "ConvertSummary",
    "Dataset",
    "KittiSummary",
    "LabelSummary",
    "PixelFormat",
    "SplitSummary",
    "check_labels",
    "convert_kitti",
    "convert_labels",
    "label_path",
    "load_dataset",
    "pixel_format",
    "split_dataset",
    "split_names",
    "write_dataset",
]
