"""One image and its label: all that a check keeps of them. Runs in worker processes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.datasets.dataset import label_path
from frostline.datasets.headers import stored_as
from frostline.datasets.pixels import full_scale, read_picture
from frostline.datasets.rows import Row, read_rows
from frostline.errors import InputError

NEAR_BOX_IOU = 0.9
"""Two boxes of one class that overlap more than this are taken for one object drawn twice."""
_OVER_BORDER_PX = 1.0
_SAMPLE = 200_000
_HASH = 8


@dataclass
class Look:
    """What is known of one image after it was looked at.

    Attributes:
        image: the file.
        split: the split it is in.
        error: why it cannot be read; empty otherwise, and then nothing of its pixels is known.
        size: (width, height) in pixels.
        channels: 1, 3 or 4 as a rule.
        dtype: numpy's name of the stored type.
        digest: hash of shape, type and pixels: equal for equal images in whatever file.
        phash: (64,) bits of the perceptual hash; None for an image of one colour.
        thumbnail: (16, 16) float32 with mean 0 and standard deviation 1; None with `phash`.
        levels: how many different values occur in a sample of the pixels.
        low: 0.1st percentile of the stored values.
        high: 99.9th percentile.
        share: `high` as a share of what the type can store.
        least: lowest stored value.
        most: highest stored value.
        not_finite: the image holds NaN or infinities.
        label_exists: there is a label file.
        boxes: class id, width and height in pixels of every good box.
        wrong: for every bad label row its line and what is wrong.
        near: pairs of boxes that are one object drawn twice, as lines of the label file.
        over_border: lines of boxes that reach past the image by more than a pixel.
        no_area: lines of boxes without area.
    """

    image: Path
    split: str
    error: str = ""
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    dtype: str = ""
    digest: bytes = b""
    phash: NDArray[np.bool_] | None = None
    thumbnail: NDArray[np.float32] | None = None
    levels: int = 0
    low: float = 0.0
    high: float = 0.0
    share: float = 0.0
    least: float = 0.0
    most: float = 0.0
    not_finite: bool = False
    label_exists: bool = False
    boxes: list[tuple[int, float, float]] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    near: list[tuple[int, int]] = field(default_factory=list)
    over_border: list[int] = field(default_factory=list)
    no_area: list[int] = field(default_factory=list)


def look_at(job: tuple[Path, str, int]) -> Look:
    """Decode an image and read its label.

    Args:
        job: image, split, number of classes.
    """
    image, split, classes = job
    seen = Look(image, split)
    try:
        _pixels(seen, read_picture(image))
        stored_as(image)  # what training would refuse although it can be read
    except InputError as error:
        seen.error = str(error).removeprefix(f"{image}: ")
    label = label_path(image)
    seen.label_exists = label.is_file()
    try:
        rows, seen.wrong = read_rows(label, classes)
    except InputError as error:
        rows, seen.wrong = [], [(1, str(error).removeprefix(f"{label}: "))]
    _boxes(seen, rows)
    return seen


def _pixels(seen: Look, pixels: NDArray[Any]) -> None:
    import cv2

    height, width, seen.channels = pixels.shape
    seen.size, seen.dtype = (width, height), str(pixels.dtype)
    head = f"{pixels.shape} {pixels.dtype}".encode()
    seen.digest = hashlib.blake2b(head + np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        seen.not_finite = True
        pixels = np.nan_to_num(pixels, posinf=0.0, neginf=0.0)
    seen.least, seen.most = float(pixels.min()), float(pixels.max())
    # Whole rows far apart, so that the sample is quick to take and touches every part of the image.
    step = max(1, pixels.size // _SAMPLE)
    sample = pixels[::step] if step < height else pixels[:: max(1, height // 2), ::step]
    seen.low, seen.high = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
    seen.share = seen.high / full_scale(pixels)
    seen.levels = _levels(sample)
    if seen.least == seen.most:
        return
    colour = pixels[..., :3].astype(np.float32) if pixels.dtype not in (np.uint8, np.uint16) else pixels[..., :3]
    small = cv2.resize(np.ascontiguousarray(colour), (4 * _HASH, 4 * _HASH), interpolation=cv2.INTER_AREA)
    grey = small.reshape(4 * _HASH, 4 * _HASH, -1).astype(np.float32).mean(axis=2)
    seen.phash = perceptual_hash(grey)
    thumbnail = cv2.resize(grey, (2 * _HASH, 2 * _HASH), interpolation=cv2.INTER_AREA)
    spread = float(thumbnail.std())
    if spread > 0:
        seen.thumbnail = ((thumbnail - thumbnail.mean()) / spread).astype(np.float32)
    else:
        seen.phash = None


def perceptual_hash(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Hash what an image looks like: the signs of its lowest cosine frequencies about their median.

    The DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010). A gain or another
    bit depth does not change it.

    Args:
        grey: (32, 32) float32.

    Returns:
        (64,) bits.
    """
    import cv2

    frequencies = cv2.dct(grey)[:_HASH, :_HASH].ravel()
    bits: NDArray[np.bool_] = frequencies > np.median(frequencies[1:])
    return bits


def _levels(sample: NDArray[Any]) -> int:
    if sample.dtype in (np.uint8, np.uint16):
        return int(np.count_nonzero(np.bincount(sample.ravel(), minlength=1)))
    return len(np.unique(sample))


def _boxes(seen: Look, rows: list[Row]) -> None:
    width, height = seen.size
    for row in rows:
        if not (row.width > 0 and row.height > 0):
            seen.no_area.append(row.line)
            continue
        seen.boxes.append((row.index, row.width * width, row.height * height))
        if not seen.error:
            left, top, right, bottom = row.box(seen.size)
            if max(-left, -top, right - width, bottom - height) > _OVER_BORDER_PX:
                seen.over_border.append(row.line)
    seen.near = _near([row for row in rows if row.width > 0 and row.height > 0])


def _near(rows: list[Row]) -> list[tuple[int, int]]:
    if len(rows) < 2:
        return []
    box = np.array([row.box((1, 1)) for row in rows])
    index = np.array([row.index for row in rows])
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    corner = np.minimum(box[:, None, 2:], box[None, :, 2:]) - np.maximum(box[:, None, :2], box[None, :, :2])
    shared = np.clip(corner, 0, None).prod(axis=2)
    iou = shared / (area[:, None] + area[None, :] - shared)
    close = np.triu((iou > NEAR_BOX_IOU) & (index[:, None] == index[None, :]), k=1)
    return [(rows[first].line, rows[second].line) for first, second in np.argwhere(close)]
