"""Directions that are known: one for all images or for each camera, or a map for each image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.imaging.estimate.result import Estimate
from frostline.imaging.isd import IsdTable
from frostline.imaging.isdmaps import IsdMaps, read_isd_map


@dataclass(frozen=True)
class Fixed:
    """Gives the direction that it was told, for all images or for each camera.

    Its confidence is 1, as nothing is measured.

    Attributes:
        table: what `parse_isd` returns.
    """

    table: IsdTable

    name = "fixed"

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Give the direction of one image; see `Estimator`."""
        del linear
        return Estimate(np.array(self.table.of(image), np.float32), 1.0, self.name)


@dataclass(frozen=True)
class Maps(IsdMaps):
    """Reads a map of directions, one for every pixel, for each image.

    Its confidence is the length of the mean of the map's unit vectors: 1 where all pixels have one direction.
    """

    name = "map"

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Read the map of one image; see `Estimator`."""
        unit = read_isd_map(self.file_of(image), (linear.shape[0], linear.shape[1]))
        length = float(np.linalg.norm(unit.reshape(-1, 3).mean(axis=0, dtype=np.float64)))
        return Estimate(unit, min(1.0, length), self.name)
