"""Pairs of lit and shadowed samples of the same material that a person marked: points, or two masks.

After Maxwell, Friedhoff and Smith, "A Bi-Illuminant Dichromatic Reflection Model for Understanding Images", CVPR 2008.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.files import MOST_INDEX_BYTES, read_json
from frostline.imaging.chroma import log_rgb
from frostline.imaging.estimate.pixels import CLIPPED, NOISE_FLOOR
from frostline.imaging.estimate.result import Estimate, PairEvidence, Vectors, no_evidence
from frostline.imaging.estimate.robust import agreement, robust_direction
from frostline.imaging.stored import check_pixels, png_size

Point = tuple[float, float]

_HALF_PATCH = 2  # a point stands for the 5 x 5 pixels around it
_HALF_TRUSTED_AT = 1.0
_MASK_PAIRS = 2000  # for each material
_MASK_SUFFIXES = (".png", ".tif", ".tiff")
_FORM = 'expected {"image stem": [{"lit": [x, y], "shadow": [x, y]}, ...]}'


@dataclass(frozen=True)
class Pairs:
    """Takes the robust direction of marked pairs: the median of their unit differences, outliers rejected.

    Its confidence is the share of the pairs that agree with the direction to 3 degrees, times n / (n + 1), where n of
    them agree: a single pair agrees with itself and cannot be trusted.

    Attributes:
        points: by image stem, pairs of a lit and a shadowed point, x and y in pixels of the image.
        lit: a folder of masks with the images' stems, or one mask; None to use points. Its values are materials: 0 is
            outside, and pixels of equal value belong to one material.
        shadow: the same for shadow; a material's value is the same in both.
    """

    points: dict[str, list[tuple[Point, Point]]] = field(default_factory=dict)
    lit: Path | None = None
    shadow: Path | None = None

    name = "pairs"

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Estimate one image; see `Estimator`. An image without pairs has no evidence."""
        if self.lit is None or self.shadow is None:
            lit, shadow, places = _from_points(linear, self.points.get(image.stem, []), image)
        else:
            masks = [_read_mask(source, image, linear.shape[:2]) for source in (self.lit, self.shadow)]
            lit, shadow, places = _from_masks(linear, *masks)
        steps = lit - shadow
        useful = np.linalg.norm(steps, axis=1) > 0
        lit, shadow, places, steps = lit[useful], shadow[useful], places[useful], steps[useful]
        if not len(steps):
            return no_evidence(self.name)
        direction, kept = robust_direction(steps)
        if not (direction > 0).all():
            raise InputError(
                f"{image}: the pairs give the direction {np.round(direction, 3).tolist()}, which is not above zero in"
                " every channel; are lit and shadow exchanged?"
            )
        share = agreement(steps, direction)
        count = share * len(steps)
        confidence = share * count / (count + _HALF_TRUSTED_AT)
        return Estimate(direction, confidence, self.name, PairEvidence(lit, shadow, places, kept))


def read_points(file: Path) -> dict[str, list[tuple[Point, Point]]]:
    """Read pairs of points from JSON: `{"image stem": [{"lit": [x, y], "shadow": [x, y]}, ...]}`.

    Raises:
        InputError: if the file is missing, is not of that form, or holds no pair.
    """
    try:
        content = read_json(file, MOST_INDEX_BYTES)
        pairs = {
            str(stem): [(_point(pair["lit"]), _point(pair["shadow"])) for pair in listed]
            for stem, listed in content.items()
        }
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{file}: not a file of point pairs; {_FORM}") from None
    if not any(pairs.values()):
        raise InputError(f"{file}: holds no pair; {_FORM}")
    return pairs


def _point(value: Any) -> Point:
    x, y = value
    return float(x), float(y)


def _from_points(
    linear: NDArray[np.uint16], pairs: list[tuple[Point, Point]], image: Path
) -> tuple[Vectors, Vectors, NDArray[np.float32]]:
    """Average the patch around every point; leave out pairs with a patch that is clipped or lost in noise."""
    lit, shadow, places = [], [], []
    for pair in pairs:
        ends = [_patch(linear, point, image) for point in pair]
        if all(end.min() > NOISE_FLOOR and end.max() < CLIPPED for end in ends):
            lit.append(ends[0])
            shadow.append(ends[1])
            places.append(pair)
    rows = (np.array(lit, np.float32).reshape(-1, 3), np.array(shadow, np.float32).reshape(-1, 3))
    return log_rgb(rows[0]), log_rgb(rows[1]), np.array(places, np.float32).reshape(-1, 2, 2)


def _patch(linear: NDArray[np.uint16], point: Point, image: Path) -> NDArray[np.float32]:
    height, width = linear.shape[:2]
    if not (-0.5 <= point[0] < width - 0.5 and -0.5 <= point[1] < height - 0.5):  # also true for NaN
        raise InputError(f"{image}: the point {list(point)} lies outside the image of {width} x {height} pixels")
    x, y = round(point[0]), round(point[1])
    rows = slice(max(0, y - _HALF_PATCH), y + _HALF_PATCH + 1)
    columns = slice(max(0, x - _HALF_PATCH), x + _HALF_PATCH + 1)
    patch = linear[rows, columns].reshape(-1, 3).astype(np.float64)
    if patch.max() >= CLIPPED:  # one clipped pixel biases the mean
        return np.full(3, CLIPPED, np.float32)
    return np.asarray(patch.mean(axis=0), dtype=np.float32)


def _read_mask(source: Path, image: Path, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read the mask of an image from a folder or as a file, and check its size."""
    import cv2

    file = source
    if source.is_dir():
        named = [source / f"{image.stem}{suffix}" for suffix in _MASK_SUFFIXES]
        file = next((path for path in named if path.is_file()), named[0])
    if not file.is_file():
        raise InputError(f"{file}: no mask for {image}; expected a grey image, 0 outside, one value for each material")
    data = np.fromfile(file, np.uint8)
    check_pixels(file, *png_size(data[:24].tobytes()))
    mask = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if mask is None:
        raise InputError(f"{file}: cannot be read as a mask; expected a grey PNG or TIFF of 8 bits")
    if mask.shape != size:
        raise InputError(f"{file}: the mask is {mask.shape[1]} x {mask.shape[0]} but {image} is {size[1]} x {size[0]}")
    return np.asarray(mask, dtype=np.uint8)


def _from_masks(
    linear: NDArray[np.uint16], lit_mask: NDArray[np.uint8], shadow_mask: NDArray[np.uint8]
) -> tuple[Vectors, Vectors, NDArray[np.float32]]:
    """Pair random lit with random shadowed pixels of each material."""
    usable = (linear.min(axis=2) > NOISE_FLOOR) & (linear.max(axis=2) < CLIPPED)
    rng = np.random.default_rng(0)
    ends: tuple[list[Any], list[Any]] = ([], [])
    for material in np.unique(lit_mask[lit_mask > 0]).tolist():
        sides = [np.argwhere((mask == material) & usable) for mask in (lit_mask, shadow_mask)]
        count = min(_MASK_PAIRS, *map(len, sides))
        for end, side in zip(ends, sides, strict=True):
            end.append(side[rng.permutation(len(side))[:count]])
    places = [np.concatenate([np.empty((0, 2), np.int64), *end]) for end in ends]
    logs = [log_rgb(linear[place[:, 0], place[:, 1]]) for place in places]
    return logs[0], logs[1], np.stack([place[:, ::-1] for place in places], axis=1).astype(np.float32)
