from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from frostline.report.palette import arm_styles

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def cie_lab(colour: str, sight: str) -> NDArray[np.float64]:
    encoded = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = to_xyz @ np.clip(SIGHT[sight] @ linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize(("arms", "distance"), [(7, 18), (12, 9)])
def test_colours_are_told_apart_by_any_eye(sight: str, arms: int, distance: float) -> None:
    styles = arm_styles(["baseline", *(f"freeze_1_to_{depth}" for depth in range(1, arms))])
    seen = [cie_lab(style.colour, sight) for style in styles.values()]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) >= distance


def test_no_two_of_37_arms_share_dash_and_marker_so_that_grey_prints_read() -> None:
    styles = arm_styles(["baseline", *map(str, range(36))])
    assert len({(style.dash, style.marker) for style in styles.values()}) == 37


def test_an_arm_keeps_its_look_and_the_baseline_takes_none_from_the_others() -> None:
    alone = arm_styles(["freeze_1_to_3", "freeze_1_to_4"])
    with_baseline = arm_styles(["baseline", "freeze_1_to_3", "baseline", "freeze_1_to_4", "freeze_1_to_3"])
    assert list(with_baseline) == ["baseline", "freeze_1_to_3", "freeze_1_to_4"]
    assert {arm: with_baseline[arm] for arm in alone} == alone
    assert with_baseline["baseline"].colour == "#000000"
    two = arm_styles(["a/baseline", "b/baseline"])
    assert two["a/baseline"] != two["b/baseline"]
