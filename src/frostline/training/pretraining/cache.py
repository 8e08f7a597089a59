"""Where pretrained checkpoints are kept: by content, whole or not at all, one process at a time for each."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.datasets import PixelFormat
from frostline.errors import InputError
from frostline.files import read_json
from frostline.training.pretraining.settings import Pretraining

CHECKPOINT, RECORD = "pretrained.pt", "pretrain.json"
RECIPE = 1
"""Of what is done here to images and models before and after lightly-train; another number, another result."""


@dataclass(frozen=True)
class Kept:
    """A finished pretraining.

    Attributes:
        folder: holds the checkpoint and the record.
        record: settings, versions, seconds, losses, images, conversions, and what changed in the model.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        """The detector: plain Ultralytics loads it."""
        return self.folder / CHECKPOINT

    @classmethod
    def open(cls, folder: Path) -> Kept | None:
        """Read a pretraining's folder; None where it is not whole."""
        try:
            record = read_json(folder / RECORD)
        except (OSError, ValueError):
            return None
        return cls(folder, record) if isinstance(record, dict) and (folder / CHECKPOINT).is_file() else None


def lightly_version() -> str | None:
    """Return the version of lightly-train that is installed, without importing it; None where there is none."""
    try:
        return importlib.metadata.version("lightly-train")
    except importlib.metadata.PackageNotFoundError:
        return None


def need_lightly() -> str:
    """Return lightly-train's version.

    Raises:
        InputError: it is not installed.
    """
    version = lightly_version()
    if version is None:
        raise InputError("pretraining needs lightly-train, which is not installed: pip install 'frostline[pretrain]'")
    return version


def content_key(
    settings: Pretraining, model: str, images: str, formats: Mapping[str, PixelFormat], lightly: str
) -> str:
    """Hash everything that decides the result of a pretraining.

    Args:
        settings: paths in them do not count, their content does.
        model: digest of the model and its weights.
        images: key of the images' contents.
        formats: what the values of images of more than 8 bits mean, by the image's digest.
        lightly: version of lightly-train.

    Returns:
        16 hexadecimal digits.
    """
    values = settings.model_dump(mode="json", exclude={"images", "data", "teacher_weights"})
    teacher = settings.teacher_weights
    parts = {
        "recipe": RECIPE,
        "settings": values,
        "model": model,
        "images": images,
        "formats": sorted([digest, repr(pixels)] for digest, pixels in formats.items()),
        "teacher_weights": _digest(Path(teacher)) if teacher is not None else None,
        "lightly-train": lightly,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: no such teacher_weights")
    return hashlib.sha256(path.read_bytes()).hexdigest()
