from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "imaging"))

from estimate_scenes import TRUE, street

from frostline.errors import InputError
from frostline.imaging.estimate import DatasetEstimate, Edges, Entropy, Estimate, Pairs
from frostline.report import draw_estimate

IMAGE = Path("a.tiff")
GIVEN = Estimate(TRUE.astype(np.float32), 1.0, "fixed")
WRONG = Estimate(np.full(3, 3**-0.5, np.float32), 0.1, "fixed")


def drawn(tmp_path: Path, estimate: Estimate, dataset: DatasetEstimate | None = None) -> str:
    out = draw_estimate(street(), estimate, tmp_path / "isd.svg", "street $1 a.tiff", dataset)
    return out.read_text(encoding="utf-8")


def test_the_figure_says_what_it_shows_for_every_kind_of_evidence(tmp_path):
    points = {"a": [((20.0, 20.0), (20.0, 140.0)), ((60.0, 20.0), (60.0, 140.0)), ((60.0, 20.0), (20.0, 140.0))]}
    maps = Estimate(np.tile(TRUE.astype(np.float32), (160, 240, 1)), 1.0, "map")
    for estimate, words in (
        (Edges().estimate(street(), IMAGE), ("pairs agree (green)", "Direction of every pair")),
        (Pairs(points).estimate(street(), IMAGE), ("2 of 3 pairs agree", "white end: lit", "pair rejected")),
        (Entropy(pixels=1000).estimate(street(), IMAGE), ("Entropy of the projection", "colours left")),
        (maps, ("Directions in the map",)),
        (GIVEN, ("Direction as given", "nothing was measured")),
    ):
        text = drawn(tmp_path, estimate)
        red = f"{estimate.mean[0]:.3f}"
        for word in (*words, red, f"confidence {estimate.confidence:.2f}", "street $1 a.tiff", "Pixels in log-RGB"):
            assert word in text, (estimate.method, word)


def test_of_several_images_the_direction_of_all_is_drawn(tmp_path):
    dataset = DatasetEstimate(GIVEN.isd, 0.9, "fixed", {"a": GIVEN, "b": GIVEN, "c": WRONG})
    text = drawn(tmp_path, WRONG, dataset)
    assert "Direction of 3 images" in text
    assert "2 within 3 degrees" in text
    assert "confidence 0.90" in text


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.png"):
        draw_estimate(street(), GIVEN, tmp_path / "isd.txt")
