"""Rendered 16-bit images whose objects stand out in one byte of a value, and in no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import yaml
from numpy.typing import NDArray

SIDE = 96
GROUND = 0x72
"""Both bytes of the ground: the value 0x7272 that pads images, so that padding is no edge that outshines objects."""

OBJECT_LOW, OBJECT_HIGH = 240, GROUND + 40


def write_byte_scenes(folder: Path, byte: str, train: int = 96, val: int = 32, **declared: Any) -> Path:
    """Write discs and bars on a flat ground as 16-bit TIFFs.

    Args:
        folder: for the dataset; made.
        byte: `low`: the high byte is one constant in every pixel of every image, the low one tells objects from
            ground. `high`: the low byte is drawn alike everywhere, the high one tells.
        train: images to train on.
        val: images to validate on.
        declared: what data.yaml says under `pixels:`.
    """
    rng = np.random.default_rng(7)
    for split, count in (("train", train), ("val", val)):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for index in range(count):
            objects, lines = _shapes(rng)
            noise = rng.integers(-10, 11, (SIDE, SIDE, 3))
            if byte == "low":
                low = np.where(objects, OBJECT_LOW, GROUND)[..., None] + noise
                high = np.full_like(low, GROUND)
            else:
                low = rng.integers(0, 256, (SIDE, SIDE, 3))
                high = np.repeat(np.where(objects, OBJECT_HIGH, GROUND)[..., None], 3, axis=2)
            tifffile.imwrite(folder / "images" / split / f"{split}{index}.tif", (high * 256 + low).astype(np.uint16))
            (folder / "labels" / split / f"{split}{index}.txt").write_text("".join(lines))
    told: dict[str, Any] = {"train": "images/train", "val": "images/val", "names": {0: "disc", 1: "bar"}}
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump(told | ({"pixels": declared} if declared else {})))
    return data


def one_byte_of(data: Path, folder: Path, byte: str) -> Path:
    """Copy a dataset with one byte of its values only, as 8-bit PNGs: what an 8-bit reader leaves of it."""
    for path in sorted(data.parent.glob("images/*/*.tif")):
        values = tifffile.imread(path)
        kept = (values >> 8 if byte == "high" else values & 255).astype(np.uint8)
        image = folder / "images" / path.parent.name / f"{path.stem}.png"
        label = folder / "labels" / path.parent.name / f"{path.stem}.txt"
        for file in (image, label):
            file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), kept[..., ::-1])
        label.write_text((data.parent / "labels" / path.parent.name / label.name).read_text())
    told = yaml.safe_load(data.read_text())
    told.pop("pixels", None)
    (folder / "data.yaml").write_text(yaml.safe_dump(told))
    return folder / "data.yaml"


def _shapes(rng: np.random.Generator) -> tuple[NDArray[np.bool_], list[str]]:
    """Draw two shapes in two different quarters: where they are, and their label lines."""
    mask, lines = np.zeros((SIDE, SIDE), np.uint8), []
    for quarter in rng.permutation(4)[:2]:
        kind = int(rng.integers(2))
        width, height = (int(rng.integers(20, 36)),) * 2 if kind == 0 else (int(rng.integers(30, 42)), 14)
        left = int(rng.integers(0, 48 - width + 1)) + 48 * int(quarter % 2)
        top = int(rng.integers(0, 48 - height + 1)) + 48 * int(quarter // 2)
        if kind == 0:
            cv2.ellipse(mask, ((left + (width - 1) / 2, top + (height - 1) / 2), (width, height), 0), 1, -1)
        else:
            mask[top : top + height, left : left + width] = 1
        box = (left + width / 2, top + height / 2, width, height)
        lines.append(f"{kind} " + " ".join(f"{value / SIDE:.6f}" for value in box) + "\n")
    return mask.astype(bool), lines
