"""Estimators of the illuminant spectral direction: each gives a direction, a confidence and the evidence for it."""

from __future__ import annotations

from frostline.imaging.estimate.batch import TRUSTED, DatasetEstimate, estimate_folder, images_of, write_isd
from frostline.imaging.estimate.edges import Edges
from frostline.imaging.estimate.entropy import Entropy, projected_entropy
from frostline.imaging.estimate.given import Fixed, Maps
from frostline.imaging.estimate.pairs import Pairs, read_points
from frostline.imaging.estimate.result import (
    GREY,
    EntropyEvidence,
    Estimate,
    Estimator,
    Evidence,
    PairEvidence,
    angles,
)
from frostline.imaging.estimate.robust import robust_direction
from frostline.imaging.isdmaps import read_isd_map

__all__ = [
    "GREY",
    "TRUSTED",
    "DatasetEstimate",
    "Edges",
    "Entropy",
    "EntropyEvidence",
    "Estimate",
    "Estimator",
    "Evidence",
    "Fixed",
    "Maps",
    "PairEvidence",
    "Pairs",
    "angles",
    "estimate_folder",
    "images_of",
    "projected_entropy",
    "read_isd_map",
    "read_points",
    "robust_direction",
    "write_isd",
]
