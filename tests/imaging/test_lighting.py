"""How much of a box lies in shadow, counted and estimated."""

from __future__ import annotations

import numpy as np
import pytest

from frostline.datasets.scenes import render_scene
from frostline.errors import InputError
from frostline.imaging.lighting import (
    ESTIMATE_BOUNDS,
    LIGHTS,
    MASK_BOUNDS,
    light_classes,
    shade_of_image,
    shade_of_mask,
)


def test_shares_are_areas_with_parts_of_pixels_and_of_penumbra() -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[:, :10] = 255
    mask[:, 10:12] = 51  # a fifth of the sun is missing
    boxes = [(0, 0, 1, 1), (0, 0, 0.5, 1), (0.25, 0, 0.75, 0.5), (0.49, 0.1, 0.52, 0.3), (0.7, 0, 0.9, 1)]
    by_hand = [(10 + 0.4) / 20, 1, (5 + 0.4) / 10, (0.2 + 0.4 * 0.2) / 0.6, 0]
    assert shade_of_mask(mask).shares(boxes) == pytest.approx(by_hand, abs=1e-9)
    assert shade_of_mask(mask).shares([(-1, -1, 0.5, 0.5), (1.5, 0, 2, 1), (0.2, 0.2, 0.2, 0.9)]) == pytest.approx(
        [1, 0, 0]
    )


def test_shares_become_classes_at_the_bounds() -> None:
    shares = [0, 0.0999, 0.1, 0.6, 0.6001, 1]
    assert [LIGHTS[k] for k in light_classes(shares, MASK_BOUNDS)] == [
        "lit",
        "lit",
        "moderate",
        "moderate",
        "heavy",
        "heavy",
    ]
    for bounds in ((0.6, 0.1), (-0.1, 0.5), (0.5, 1.2), (0.3, 0.3)):
        with pytest.raises(InputError, match="two rising shares"):
            light_classes(shares, bounds)


def test_the_estimate_agrees_with_true_masks_of_rendered_scenes() -> None:
    truth, guess, size = [], [], np.array([480, 320] * 2)
    for seed in range(600000, 600012):
        scene = render_scene(seed, (480, 320))
        boxes = np.array(scene.boxes, float).reshape(-1, 4) / size
        mask = scene.mask if scene.mask.dtype == np.uint8 else (scene.mask * 255).astype(np.uint8)
        truth.append(shade_of_mask(mask).shares(boxes))
        guess.append(shade_of_image(scene.linear).shares(boxes))
    true, guessed = np.concatenate(truth), np.concatenate(guess)
    assert np.corrcoef(true, guessed)[0, 1] > 0.65
    same = light_classes(true, MASK_BOUNDS) == light_classes(guessed, ESTIMATE_BOUNDS)
    assert same.mean() > 0.65  # 0.76 over 150 scenes; always saying "moderate" would be right in half


def test_a_shadow_is_seen_on_every_material_and_dark_paint_alone_is_no_shadow_of_another_colour() -> None:
    rng = np.random.default_rng(0)
    linear = np.empty((80, 120, 3))
    linear[:40], linear[40:] = (30000, 20000, 9000), (12000, 14000, 20000)  # two materials in the sun
    linear[:, 60:] *= (0.26, 0.32, 0.43)  # the right half in shadow
    linear *= rng.uniform(0.97, 1.03, (80, 120, 1))
    shares = shade_of_image(linear).shares(
        [(0, 0, 0.48, 0.48), (0, 0.52, 0.48, 1), (0.52, 0, 1, 0.48), (0.52, 0.52, 1, 1)]
    )
    assert shares == pytest.approx([0, 0, 1, 1], abs=0.02)
    with pytest.raises(InputError, match="expected linear RGB"):
        shade_of_image(linear[..., 0])
