"""The direction along which an image collapses most: least entropy of the orthogonal projection.

After Finlayson, Drew and Lu, "Entropy Minimization for Shadow Removal", IJCV 2009, with the whole plane orthogonal to
the direction in log-RGB space in the place of their line in the plane of log-chromaticities.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.imaging.estimate.pixels import log_values, open_sky, working_size
from frostline.imaging.estimate.result import GREY, EntropyEvidence, Estimate, Vectors, angles, no_evidence

_BLUR_PX = 1.0
_CELL = 0.02  # of the projection's histogram, natural-log units: the sensor's noise in a lit pixel
_SMOOTH_CELLS = 3.0
_CELLS = 100  # a side: -1 to 1 around the median; what lies outside counts as lying on the border
_FIRST_STEP_DEGREES = 3.0
_LAST_STEP_DEGREES = 0.15
_RIVAL_DEGREES = 4.0
_HALF_TRUSTED_AT = 0.1
_FEWEST_PIXELS = 500
_ACROSS = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2.0], [6.0]])


@dataclass(frozen=True)
class Entropy:
    """Searches the directions around grey, coarse to fine, for the projection of least entropy.

    Its confidence is m / (m + 0.1), where m is the share by which the best direction leaves fewer colours (the
    exponential of the entropy) than its strongest rival more than 4 degrees away. 0: that rival is as good.

    Attributes:
        pixels: how many are looked at, spread over the image; none that is clipped, at the noise floor, or sky.
        reach: how far from grey a direction may lie, in degrees.
    """

    pixels: int = 8_000
    reach: float = 24.0

    name = "entropy"

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Estimate one image; see `Estimator`."""
        del image
        values, usable, _ = working_size(linear)
        # The sky is no surface in sun and shadow, and its own shades of blue lie along another direction.
        sample = log_values(values, _BLUR_PX)[usable & ~open_sky(values)]
        if len(sample) < _FEWEST_PIXELS:
            return no_evidence(self.name)
        if len(sample) > self.pixels:
            sample = sample[np.random.default_rng(0).choice(len(sample), self.pixels, replace=False)]
        centred = (sample - np.median(sample, axis=0)).astype(np.float32)
        directions, entropies = _search(centred, self.reach)
        best = int(np.argmin(entropies))
        rivals = entropies[angles(directions, directions[best]) > _RIVAL_DEGREES]
        margin = 1 - np.exp(entropies[best] - rivals.min()) if rivals.size else 0.0
        evidence = EntropyEvidence(directions, entropies, sample)
        return Estimate(directions[best], float(margin / (margin + _HALF_TRUSTED_AT)), self.name, evidence)


def projected_entropy(log_pixels: NDArray[np.float32], direction: Vectors) -> float:
    """Return the entropy of pixels projected along a direction.

    Args:
        log_pixels: (N, 3) natural log of linear RGB less their median.
        direction: (3,) unit vector.

    Returns:
        Shannon entropy in nats of the smoothed histogram over the plane orthogonal to the direction.
    """
    one = np.cross(direction, _ACROSS[0] - _ACROSS[0] @ direction * direction)
    one /= np.linalg.norm(one)
    plane = np.stack([one, np.cross(direction, one)], axis=1).astype(np.float32)
    cells = np.floor(log_pixels @ plane / np.float32(_CELL)).astype(np.int64) + _CELLS // 2
    cells = cells.clip(0, _CELLS - 1)
    counts = np.bincount(cells[:, 0] * _CELLS + cells[:, 1], minlength=_CELLS * _CELLS)
    histogram = cv2.GaussianBlur(counts.reshape(_CELLS, _CELLS).astype(np.float32), (0, 0), _SMOOTH_CELLS)
    share = histogram[histogram > 0].astype(np.float64)
    share /= share.sum()
    return float(-(share * np.log(share)).sum())


def _search(centred: NDArray[np.float32], reach: float) -> tuple[Vectors, NDArray[np.float64]]:
    """Try a disc of directions, then ever finer squares around the best so far."""
    found: dict[tuple[float, float], float] = {}
    step = _FIRST_STEP_DEGREES
    span = np.arange(-int(reach / step), int(reach / step) + 1) * step
    offsets = [(x, y) for x in span.tolist() for y in span.tolist() if np.hypot(x, y) <= reach]
    while step >= _LAST_STEP_DEGREES:
        for offset in offsets:
            direction = _direction(*offset)
            if offset not in found and (direction > 0).all():
                found[offset] = projected_entropy(centred, direction)
        x, y = min(found, key=lambda offset: found[offset])
        step /= 2
        offsets = [(x + i * step, y + j * step) for i in range(-2, 3) for j in range(-2, 3)]
        offsets = [offset for offset in offsets if np.hypot(*offset) <= reach]
    return np.array([_direction(*offset) for offset in found], np.float32), np.array(list(found.values()))


def _direction(x: float, y: float) -> Vectors:
    """Give the unit vector `hypot(x, y)` degrees away from grey, towards red less green (x), yellow less blue (y)."""
    away = np.radians(np.hypot(x, y))
    if away == 0:
        return GREY
    side = (x * _ACROSS[0] + y * _ACROSS[1]) / np.hypot(x, y)
    return np.asarray(np.cos(away) * GREY + np.sin(away) * side, dtype=np.float32)
