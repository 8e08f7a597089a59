"""What every estimator of the illuminant spectral direction takes and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

GREY: Vectors = np.full(3, 1 / np.sqrt(3), dtype=np.float32)
"""The unit vector along which all channels change by the same factor: the axis around which directions are sought."""


@dataclass(frozen=True)
class PairEvidence:
    """Lit and shadowed samples of the same materials.

    Attributes:
        lit: (N, 3) natural log of linear RGB.
        shadow: (N, 3) the same materials without the sun.
        places: (N, 2, 2) float32 where the lit and the shadowed sample lie: [[x, y], [x, y]] in pixels of the image.
        kept: (N,) whether the pair agrees with the direction; the others were rejected.
    """

    lit: Vectors
    shadow: Vectors
    places: NDArray[np.float32]
    kept: NDArray[np.bool_]


@dataclass(frozen=True)
class EntropyEvidence:
    """The entropy of the projection for every direction that was tried.

    Attributes:
        directions: (N, 3) unit vectors.
        entropies: (N,) in nats; the least is the estimate's.
        sample: (M, 3) the pixels that were projected, natural log of linear RGB.
    """

    directions: Vectors
    entropies: NDArray[np.float64]
    sample: Vectors


Evidence = PairEvidence | EntropyEvidence


@dataclass(frozen=True)
class Estimate:
    """An illuminant spectral direction and how far to trust it.

    Attributes:
        isd: (3,) unit vector, or (H, W, 3) unit vectors for a direction of its own at every pixel.
        confidence: in [0, 1]; 0 means no evidence at all. Each estimator says what it measures.
        method: the estimator's name.
        evidence: what the figure shows; None where the direction was given.
    """

    isd: Vectors
    confidence: float
    method: str
    evidence: Evidence | None = None

    @property
    def mean(self) -> Vectors:
        """The direction, or the normalised mean of a map, (3,)."""
        total = self.isd.reshape(-1, 3).mean(axis=0, dtype=np.float64)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


class Estimator(Protocol):
    """A way to an image's illuminant spectral direction. One can be pickled, as worker processes are handed it."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        ...

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Estimate the direction of one image.

        Args:
            linear: (H, W, 3) uint16 linear RGB.
            image: its path relative to the folder of images, by which what belongs to it is found.

        Raises:
            InputError: if something that belongs to the image is missing or does not fit it.
        """
        ...


def no_evidence(method: str) -> Estimate:
    """Give the estimate of an image that shows nothing: the grey direction, with confidence 0."""
    return Estimate(GREY, 0.0, method)


def angles(vectors: NDArray[Any], direction: NDArray[Any]) -> NDArray[np.float64]:
    """Return the angles in degrees between (..., 3) vectors of any length above zero and a (3,) direction."""
    many, one = np.asarray(vectors, np.float64), np.asarray(direction, np.float64)
    along = many @ one
    across = np.linalg.norm(np.cross(many, one), axis=-1)  # exact for small angles, unlike the arc cosine
    return np.asarray(np.degrees(np.arctan2(across, along)), dtype=np.float64)
