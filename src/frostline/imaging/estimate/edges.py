"""Pairs of lit and shadowed samples that are found by themselves, across the soft edges of shadows.

A pair is taken where all channels change strongly together and the chromaticity little, as the model of Maxwell,
Friedhoff and Smith (CVPR 2008) says of a shadow's edge. Two more facts tell shadows from the edges of materials. The
sun is not a point, so a shadow's edge is soft where a material's is sharp. And all shadows of a scene make the same
step in log-RGB, its length included, on every material that they cross.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.imaging.estimate.pixels import log_values, working_size
from frostline.imaging.estimate.result import Estimate, PairEvidence, Vectors, no_evidence
from frostline.imaging.estimate.robust import agreement, robust_direction

_BLUR_PX = 0.8
_REACHES_PX = (6, 9, 13, 18, 26)  # between the ends of a pair; both must lie outside the penumbra
_FLAT = 0.06  # standard deviation of the log within 3 x 3 pixels: more is penumbra or texture
_LEAST_STEP = 1.0  # length in log-RGB: a factor of 1.8 in every channel
_FROM_GREY = np.cos(np.radians(25.0))
_STEEPEST = 0.25  # of the whole change, between neighbouring pixels: material edges have half or more of it
_CELL = np.array([0.2, 0.0667, 0.0667])  # along grey and across it, natural-log units
_CELLS = 64
_MATERIAL_CELL = 0.15
_DIVERSITY = 0.7  # a material's pairs count to this power: two materials with 100 pairs outweigh one with 200
_SAME_STEP = 0.3
_FEWEST_PAIRS = 10
_HALF_TRUSTED_AT = 50.0
_MOST_SHOWN = 4000
_GREY_AXES = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3.0], [2.0], [6.0]])


@dataclass(frozen=True)
class Edges:
    """Finds shadow edges, and takes the robust direction of the steps across them.

    Its confidence is the share of all soft, strong, near-grey edge pairs that agree with the direction to 3 degrees,
    times n / (n + 50), where n of them agree: few pairs cannot be trusted however well they agree.
    """

    name = "edges"

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Estimate one image; see `Estimator`."""
        del image
        values, usable, scale = working_size(linear)
        lit, shadow, places = _find_pairs(values, usable)
        steps = lit - shadow
        if len(steps) < _FEWEST_PAIRS:
            return no_evidence(self.name)
        near = np.linalg.norm(steps - _common_step(steps, shadow), axis=1) < _SAME_STEP
        if not near.any():
            return no_evidence(self.name)
        direction, agreed = robust_direction(steps[near])
        if not (direction > 0).all():
            return no_evidence(self.name)
        kept = near.copy()
        kept[near] = agreed
        share = agreement(steps, direction)
        count = share * len(steps)
        evidence = _thinned(lit, shadow, (places + 0.5) * scale - 0.5, kept)
        return Estimate(direction, share * count / (count + _HALF_TRUSTED_AT), self.name, evidence)


def _find_pairs(values: NDArray[np.float32], usable: NDArray[np.bool_]) -> tuple[Vectors, Vectors, NDArray[np.float32]]:
    """Collect the ends of soft, strong, near-grey edges: (N, 3) lit, (N, 3) shadow, (N, 2, 2) places in x and y."""
    logs = log_values(values, _BLUR_PX)
    mean = cv2.blur(logs, (3, 3))
    spread = np.sqrt(np.maximum(cv2.blur(logs * logs, (3, 3)) - mean * mean, 0)).max(axis=2)
    whole = cv2.erode(usable.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    flat = whole & (spread < _FLAT)
    light = np.exp(logs).mean(axis=2)
    found = [
        _pairs_along(mean, flat, light, axis, reach)
        for axis in (0, 1)
        for reach in _REACHES_PX
        if reach < values.shape[axis]
    ]
    if not found:
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.float32), np.empty((0, 2, 2), np.float32)
    lit, shadow, places = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return lit, shadow, places


def _pairs_along(
    mean: Vectors, flat: NDArray[np.bool_], light: NDArray[np.float32], axis: int, reach: int
) -> tuple[Vectors, Vectors, NDArray[np.float32]]:
    """Collect the pairs whose ends are `reach` pixels apart along rows (axis 1) or columns (axis 0)."""
    size = flat.shape[axis]
    here: tuple[Any, ...] = (slice(0, size - reach),) if axis == 0 else (slice(None), slice(0, size - reach))
    there: tuple[Any, ...] = (slice(reach, size),) if axis == 0 else (slice(None), slice(reach, size))
    between = np.ones((reach, 1) if axis == 0 else (1, reach), np.uint8)
    steepest = cv2.dilate(np.abs(np.diff(light, axis=axis)), between, anchor=(0, 0))
    # np.diff is one shorter than the image, and the pairs start within it: the first of them only are whole.
    steepest = steepest[here]
    step = mean[here] - mean[there]
    length = np.linalg.norm(step, axis=2)
    along = np.abs(step.sum(axis=2)) / np.sqrt(3)
    together = (step > 0).all(axis=2) | (step < 0).all(axis=2)
    soft = steepest < _STEEPEST * np.abs(light[here] - light[there])
    chosen = flat[here] & flat[there] & together & soft & (length > _LEAST_STEP) & (along > _FROM_GREY * length)
    rows, columns = np.nonzero(chosen)
    first = np.stack([columns, rows], axis=1).astype(np.float32)
    second = first + (np.array((0, reach)) if axis == 0 else np.array((reach, 0))).astype(np.float32)
    falls = (step[chosen] > 0).all(axis=1)[:, np.newaxis]
    one, other = mean[here][chosen], mean[there][chosen]
    ends = np.where(falls[..., np.newaxis], np.stack([first, second], axis=1), np.stack([second, first], axis=1))
    return np.where(falls, one, other), np.where(falls, other, one), ends.astype(np.float32)


def _common_step(steps: Vectors, shadow: Vectors) -> NDArray[np.float64]:
    """Find the step in log-RGB that recurs on most materials, (3,): the peak of a smoothed histogram, then medians."""
    from scipy.ndimage import gaussian_filter

    cells = np.floor(steps @ _GREY_AXES.T / _CELL + (0, _CELLS / 2, _CELLS / 2)).astype(np.int64)
    flat = cells.clip(0, _CELLS - 1) @ np.array([_CELLS * _CELLS, _CELLS, 1])
    materials = np.floor(shadow / _MATERIAL_CELL).astype(np.int64) @ np.array([10_000, 100, 1])
    both, counts = np.unique(np.stack([flat, materials], axis=1), axis=0, return_counts=True)
    votes = np.zeros(_CELLS**3, np.float32)
    np.add.at(votes, both[:, 0], counts.astype(np.float32) ** _DIVERSITY)
    smooth = gaussian_filter(votes.reshape(_CELLS, _CELLS, _CELLS), 1)
    peak = np.array(np.unravel_index(int(smooth.argmax()), smooth.shape), np.float64)
    centre = ((peak + 0.5 - (0, _CELLS / 2, _CELLS / 2)) * _CELL) @ _GREY_AXES
    for radius in (0.3, 0.25, 0.2, 0.2):
        near = np.linalg.norm(steps - centre, axis=1) < radius
        if near.sum() < 5:
            break
        centre = np.median(steps[near].astype(np.float64), axis=0)
    return np.asarray(centre, np.float64)


def _thinned(lit: Vectors, shadow: Vectors, places: NDArray[Any], kept: NDArray[np.bool_]) -> PairEvidence:
    """Keep as many pairs as a figure can show, evenly from all."""
    every = max(1, len(lit) // _MOST_SHOWN)
    return PairEvidence(lit[::every], shadow[::every], places[::every].astype(np.float32), kept[::every])
