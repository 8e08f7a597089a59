from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from estimate_scenes import STEP, TRUE, street

from frostline.datasets.scenes import render_scene
from frostline.errors import InputError
from frostline.imaging.estimate import (
    Edges,
    Entropy,
    EntropyEvidence,
    PairEvidence,
    Pairs,
    angles,
    projected_entropy,
    read_points,
    robust_direction,
)
from frostline.imaging.estimate.pixels import open_sky

IMAGE = Path("a.tiff")


def test_robust_direction_is_unmoved_by_a_third_of_wrong_steps_and_rejects_them():
    rng = np.random.default_rng(0)
    good = TRUE * rng.uniform(0.5, 3, (60, 1)) + rng.normal(0, 0.01, (60, 3))
    wrong = np.tile([[0.2, 0.4, 0.9]], (30, 1))
    direction, kept = robust_direction(np.concatenate([good, wrong]))
    assert angles(direction, TRUE) < 0.5
    assert np.linalg.norm(direction) == pytest.approx(1)
    assert kept[:60].mean() > 0.9
    assert not kept[60:].any()


def test_robust_direction_follows_the_weights():
    many, heavy = np.tile([[1.0, 1, 1]], (9, 1)), np.tile(TRUE, (2, 1))
    direction, kept = robust_direction(np.concatenate([many, heavy]), np.array([0.1] * 9 + [1.0] * 2))
    assert angles(direction, TRUE) < 0.01
    assert kept.tolist() == [False] * 9 + [True] * 2


def test_angles_are_exact_where_they_are_small():
    tilted = TRUE + np.array([1e-9, 0, -1e-9 * TRUE[0] / TRUE[2]])
    assert float(angles(tilted, TRUE)) == pytest.approx(np.degrees(np.linalg.norm(tilted - TRUE)), rel=1e-3)


@pytest.mark.parametrize("estimator", [Edges(), Entropy()])
def test_a_soft_shadow_over_many_materials_gives_its_direction(estimator):
    found = estimator.estimate(street(), IMAGE)
    assert angles(found.isd, TRUE) < 1.0
    assert 0.3 < found.confidence <= 1
    assert np.linalg.norm(found.isd) == pytest.approx(1, abs=1e-6)


def test_edges_see_nothing_where_no_shadow_falls():
    found = Edges().estimate(street(shadow=False), IMAGE)
    assert found.confidence == 0
    assert found.evidence is None


def test_sharp_edges_are_not_taken_for_shadows():
    assert Edges().estimate(street(penumbra=0.3), IMAGE).confidence == 0


def test_pairs_of_edges_end_outside_the_penumbra():
    evidence = Edges().estimate(street(penumbra=3.0), IMAGE).evidence
    assert isinstance(evidence, PairEvidence)
    length = np.linalg.norm((evidence.lit - evidence.shadow)[evidence.kept], axis=1)
    assert np.median(length) == pytest.approx(np.linalg.norm(STEP), rel=0.05)
    lit, shadow = evidence.places[:, 0], evidence.places[:, 1]
    assert (lit[:, 1] < shadow[:, 1]).all()  # the shadow is the lower half
    assert (lit[:, 0] == shadow[:, 0]).all()


def test_the_entropy_that_is_shown_is_least_at_the_estimate():
    found = Entropy(pixels=2000).estimate(street(), IMAGE)
    assert isinstance(found.evidence, EntropyEvidence)
    best = found.evidence.directions[found.evidence.entropies.argmin()]
    assert best.tolist() == found.isd.tolist()
    assert len(found.evidence.sample) == 2000


def test_entropy_of_one_colour_is_less_than_of_two_and_ignores_what_lies_along_the_direction():
    rng = np.random.default_rng(0)
    one = rng.normal(0, 0.01, (500, 3)).astype(np.float32)
    isd = TRUE.astype(np.float32)
    two = one + np.where(rng.random((500, 1)) < 0.5, 0.4, 0) * np.array([1, -1, 0])
    along = (one + rng.uniform(-1, 1, (500, 1)) * TRUE).astype(np.float32)
    assert projected_entropy(one, isd) < projected_entropy(two.astype(np.float32), isd) - 0.4
    assert projected_entropy(along, isd) == pytest.approx(projected_entropy(one, isd), abs=0.02)


@pytest.mark.parametrize("estimator", [Edges(), Entropy()])
def test_clipped_and_noise_floor_pixels_are_no_evidence(estimator):
    dark, clipped = street(noise=0) // 140, street()
    clipped[..., 0] = 65535
    for linear in (dark, clipped, np.zeros((96, 96, 3), np.uint16)):
        assert estimator.estimate(linear, IMAGE).confidence == 0


def test_clipped_pixels_do_not_change_the_entropy_estimate():
    linear = street()
    spoilt = linear.copy()
    spoilt[:, :40] = 65535
    assert angles(Entropy().estimate(spoilt, IMAGE).isd, TRUE) < 1.5


def test_large_images_are_looked_at_in_a_smaller_size_and_give_the_places_in_their_own():
    large = np.repeat(np.repeat(street(), 6, axis=0), 6, axis=1)  # 1440 x 960
    found = Edges().estimate(large, IMAGE)
    assert angles(found.isd, TRUE) < 1.0
    assert isinstance(found.evidence, PairEvidence)
    assert 460 < np.median(found.evidence.places[..., 1]) < 500  # the edge is at 480


def test_the_sky_is_left_out_and_blue_walls_are_not():
    values = np.full((60, 80, 3), 5000, np.float32)
    values[:20] = (20000, 25000, 40000)
    values[5:9, 10:16] = 45000  # a cloud
    values[30:40, 30:50] = (3000, 9000, 40000)
    sky = open_sky(values)
    assert sky[:19].all()
    assert not sky[25:].any()


def test_median_error_on_rendered_scenes():
    seeds = range(2000, 2005)
    scenes = [render_scene(seed) for seed in seeds]
    for estimator in (Edges(), Entropy()):
        errors = [float(angles(estimator.estimate(scene.linear, IMAGE).isd, scene.isd)) for scene in scenes]
        assert np.median(errors) <= 3.0, estimator.name


def test_pairs_of_points(tmp_path):
    points = {"a": [{"lit": [x, 20], "shadow": [x, 140]} for x in (20, 60, 100, 180)]}
    points["a"].append({"lit": [20, 20], "shadow": [60, 140]})  # two materials: to be rejected
    (tmp_path / "p.json").write_text(json.dumps(points))
    found = Pairs(read_points(tmp_path / "p.json")).estimate(street(), IMAGE)
    assert angles(found.isd, TRUE) < 0.5
    assert found.confidence == pytest.approx(4 / 5 * 4 / 5)
    assert isinstance(found.evidence, PairEvidence)
    assert found.evidence.kept.tolist() == [True] * 4 + [False]
    assert Pairs(read_points(tmp_path / "p.json")).estimate(street(), Path("other.tiff")).confidence == 0


def test_pairs_of_masks_join_equal_materials_only(tmp_path):
    from frostline.imaging import write_png8

    lit, shadow = np.zeros((160, 240), np.uint8), np.zeros((160, 240), np.uint8)
    for material in range(1, 6):
        columns = slice((material - 1) * 40 + 5, material * 40 - 5)
        lit[10:60, columns] = material
        shadow[100:150, columns] = material
    for name, mask in (("lit", lit), ("shadow", shadow)):
        write_png8(tmp_path / name / "a.png", mask)
    found = Pairs(lit=tmp_path / "lit", shadow=tmp_path / "shadow").estimate(street(), IMAGE)
    assert angles(found.isd, TRUE) < 0.2
    assert found.confidence > 0.95
    one_file = Pairs(lit=tmp_path / "lit" / "a.png", shadow=tmp_path / "shadow" / "a.png")
    assert one_file.estimate(street(), IMAGE).isd.tolist() == found.isd.tolist()
    with pytest.raises(InputError, match=r"no mask for b\.tiff"):
        Pairs(lit=tmp_path / "lit", shadow=tmp_path / "shadow").estimate(street(), Path("b.tiff"))
    with pytest.raises(InputError, match=r"240 x 160 but a\.tiff is 240 x 120"):
        one_file.estimate(street(size=(120, 240)), IMAGE)


@pytest.mark.parametrize(
    "pair", [[[20, 20], [900, 20]], [[-3, 2], [4, 4]], [[20, 20], [20, 160]], [[float("nan"), 4], [4, 4]]]
)
def test_a_point_outside_the_image_is_an_error(pair):
    with pytest.raises(InputError, match="outside the image of 240 x 160"):
        Pairs({"a": [tuple(map(tuple, pair))]}).estimate(street(), IMAGE)


def test_exchanged_lit_and_shadow_points_are_told():
    with pytest.raises(InputError, match="exchanged"):
        Pairs({"a": [((20.0, 140.0), (20.0, 20.0))]}).estimate(street(), IMAGE)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"a": []}', '{"a": [{"lit": [1, 2]}]}', '{"a": [{"lit": 1}]}'])
def test_a_bad_file_of_points_is_one_line(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=r"p\.json: (not a file of point pairs|holds no pair)"):
        read_points(tmp_path / "p.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_points(tmp_path / "missing.json")
