from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from frostline.cli.scenes import parse_size
from frostline.datasets.scenes import CLASSES, render_scene, render_scenes
from frostline.datasets.scenes.light import sample_light
from frostline.errors import InputError
from frostline.imaging import linear_to_srgb, log_chromaticity, read_linear
from frostline.imaging.io import read_rgb

SEEDS = range(6)
SMALL = (240, 160)


def shadow_pairs(seed: int, noise: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same surfaces in the sun and in full cast shadow: (N, 3) linear each, and the true direction."""
    shaded, lit = (render_scene(seed, SMALL, noise=noise, shadows=shadows) for shadows in (True, False))
    cast = (shaded.mask == 255) & (lit.mask == 0)
    bright = (shaded.linear.min(axis=-1) > 400) & (lit.linear.max(axis=-1) < 65535)
    return lit.linear[cast & bright].astype(float), shaded.linear[cast & bright].astype(float), lit.isd


def test_across_a_shadow_log_rgb_moves_along_the_true_direction():
    for seed in SEEDS:
        lit, shaded, isd = shadow_pairs(seed)
        assert len(lit) > 100
        step = np.log(lit / shaded)
        cosine = step @ isd / np.linalg.norm(step, axis=1)
        # What is left is the rounding to 16 bits.
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.3
        assert step.min() > 0.8  # the shadow is a real one: every channel falls to less than half


def test_in_penumbra_all_channels_lose_the_share_of_the_sun_that_the_mask_says():
    shaded, lit = (render_scene(3, (480, 320), noise=False, shadows=shadows) for shadows in (True, False))
    sunlit = (lit.mask == 0) & (shaded.linear.min(axis=-1) > 800) & (lit.linear.max(axis=-1) < 65535)
    ratio = shaded.linear.astype(float) / np.maximum(lit.linear, 1)
    sky_share = np.median(ratio[sunlit & (shaded.mask == 255)], axis=0)
    penumbra = sunlit & (shaded.mask > 40) & (shaded.mask < 215)
    assert penumbra.sum() > 1000
    seen = (ratio[penumbra] - sky_share) / (1 - sky_share)
    assert np.median(np.ptp(seen, axis=1)) < 0.005
    assert np.median(np.abs(seen.mean(axis=1) - (1 - shaded.mask[penumbra] / 255))) < 0.005


def test_the_shadow_is_gone_from_log_chromaticity():
    for seed in SEEDS:
        lit, shaded, isd = shadow_pairs(seed, noise=True)
        before = np.abs(np.median(np.log(lit / shaded), axis=0)).max()
        images = [log_chromaticity(values.astype(np.uint16), isd).astype(float) for values in (lit, shaded)]
        after = np.abs(np.median(np.log(images[0] / images[1]), axis=0)).max()
        assert after < before / 30


def test_the_sky_is_bluer_than_the_sun_and_lights_vary_mildly():
    isds = []
    for seed in range(50):
        light = sample_light(np.random.default_rng(seed))
        assert np.all(np.diff(light.sun / light.sky) < 0)
        assert np.linalg.norm(light.isd) == pytest.approx(1, abs=1e-6)
        isds.append(light.isd)
    spread = np.degrees(np.arccos(np.clip(np.array(isds) @ np.mean(isds, axis=0), -1, 1)))
    assert 0.1 < spread.max() < 3


def test_a_scene_depends_on_its_seed_alone():
    first, again, other = render_scene(1, SMALL), render_scene(1, SMALL), render_scene(2, SMALL)
    assert np.array_equal(first.linear, again.linear) and np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.linear, other.linear)
    assert (first.linear.dtype, first.mask.dtype, first.linear.shape) == (np.uint16, np.uint8, (160, 240, 3))
    assert len(np.unique(first.linear)) > 2000  # 16 bits are used, not 8 of them


def test_the_sensor_is_as_noisy_as_it_says():
    clean, noisy = render_scene(4, SMALL, noise=False).linear.astype(float), render_scene(4, SMALL).linear.astype(float)
    level = (clean > 20000) & (clean < 24000)
    electrons = 22000 / 65535 * 20000
    expected = np.sqrt(electrons + 16) / 20000 * 65535
    assert (noisy - clean)[level].std() == pytest.approx(expected, rel=0.1)


def test_boxes_lie_in_the_picture_and_classes_are_balanced():
    scenes = [render_scene(seed) for seed in range(20)]
    counts = np.zeros(5)
    for scene in scenes:
        left, top, right, bottom = scene.boxes.T
        assert (left >= 0).all() and (top >= 0).all() and (right <= 480).all() and (bottom <= 320).all()
        assert (right - left >= 5).all() and (bottom - top >= 5).all()
        assert scene.boxes.shape == (len(scene.classes), 4)
        counts += np.bincount(scene.classes, minlength=5)
    assert counts.sum() / len(scenes) >= 5
    assert counts.min() > 0.6 * counts.max()


def test_a_dataset_is_laid_out_for_training(tmp_path: Path):
    out = tmp_path / "scenes"
    steps: list[tuple[int, int]] = []
    summary = render_scenes(out, 5, 3, SMALL, 0.4, workers=1, progress=lambda done, total: steps.append((done, total)))
    assert summary.images == {"train": 3, "val": 2}
    assert steps[-1] == (5, 5)
    directions = json.loads((out / "isd.json").read_text())
    assert np.linalg.norm(directions["isd"]) == pytest.approx(1)
    boxes = 0
    for form, suffix in (("linear", "tiff"), ("srgb", "png")):
        content = yaml.safe_load((out / form / "data.yaml").read_text())
        names = dict(enumerate(("Car", "Cyclist", "Pedestrian", "Tram", "Truck")))
        assert content == {"train": "images/train", "val": "images/val", "names": names}
        images = sorted((out / form / "images").rglob(f"*.{suffix}"))
        assert [path.stem for path in sorted(images, key=lambda path: path.stem)] == list(directions["images"])
        for path in images:
            label = out / form / "labels" / path.parent.name / f"{path.stem}.txt"
            values = np.array([line.split() for line in label.read_text().splitlines()], float).reshape(-1, 5)
            low, high = values[:, 1:3] - values[:, 3:] / 2, values[:, 1:3] + values[:, 3:] / 2
            assert (low > -1e-6).all() and (high < 1 + 1e-6).all() and (values[:, 3:] > 0).all()
            boxes += len(values)
    assert boxes == 2 * sum(summary.boxes.values())
    assert list(summary.boxes) == list(CLASSES)
    index = next(task for task in sorted((out / "linear" / "images").rglob("*.tiff")))
    linear = read_linear(index)
    place = index.relative_to(out / "linear" / "images").with_suffix(".png")
    assert np.array_equal(read_rgb(out / "srgb" / "images" / place), linear_to_srgb(linear))
    scene = render_scene(np.random.default_rng((3, int(index.stem[-5:]))), SMALL)
    assert np.array_equal(linear, scene.linear)
    assert (out / "masks" / place).is_file()


def test_worker_processes_give_the_same_bytes_and_a_finished_folder_is_left_alone(tmp_path: Path):
    for name, workers in (("one", 1), ("two", 2)):
        render_scenes(tmp_path / name, 3, 5, (120, 80), workers=workers)
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two and len(one) == 3 * 5 + 4
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    render_scenes(tmp_path / "one", 3, 5, (120, 80))
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    with pytest.raises(InputError, match="other parameters"):
        render_scenes(tmp_path / "one", 4, 5, (120, 80))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds no scenes"):
        render_scenes(tmp_path / "mine", 4)


def test_parameters_that_cannot_be_right_are_refused(tmp_path: Path):
    cases = (
        {"images": 1},
        {"seed": -1},
        {"val_fraction": 0.0},
        {"val_fraction": 1.0},
        {"size": (32, 32)},
        {"workers": 0},
    )
    for wrong in cases:
        with pytest.raises(InputError):
            render_scenes(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()
    assert parse_size("640X384") == (640, 384)
    for text in ("640", "axb", "-3x4", "1.5x2"):
        with pytest.raises(InputError, match="--size"):
            parse_size(text)
