from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from frostline.cli import app
from frostline.errors import InputError
from frostline.imaging import (
    cast_folder,
    cast_shadow,
    convert_folder,
    linear_to_srgb,
    read_grey,
    read_linear,
    shadow_mask,
    shadow_ratio,
    write_png8,
    write_tiff16,
)
from frostline.imaging.io import read_rgb

SQUARE = [(10, 10), (30, 10), (30, 30), (10, 30)]


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20000, 60000, (60, 80, 3)).astype(np.uint16)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """The same two images as a linear and as an sRGB dataset."""
    for index in range(2):
        write_tiff16(tmp_path / f"linear/images/{index} ö.tiff", picture(index), {"isd": [1, 1, 1]})
        write_png8(tmp_path / f"srgb/images/{index} ö.png", linear_to_srgb(picture(index)))
        (tmp_path / "srgb/labels").mkdir(exist_ok=True)
        (tmp_path / f"srgb/labels/{index} ö.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "srgb/data.yaml").write_text("train: images\nval: images\nnames: [x]\n")
    return tmp_path


def test_full_shadow_leaves_the_ratio_and_full_sun_everything():
    image, ratio = picture(), (0.2, 0.3, 0.4)
    for source in (image, image.astype(np.float32)):
        shaded, mask = cast_shadow(source, SQUARE, ratio)
        assert shaded.dtype == source.dtype
        assert np.abs(shaded[15:25, 15:25] - source[15:25, 15:25] * np.array(ratio)).max() <= 0.5
        assert np.array_equal(shaded[40:], source[40:])
        assert (mask[20, 20], mask[50, 50]) == (1, 0)
    again, _ = cast_shadow(image, (mask * 255).astype(np.uint8), ratio)
    assert np.array_equal(again[15:25, 15:25], cast_shadow(image, SQUARE, ratio)[0][15:25, 15:25])


def test_the_penumbra_is_as_wide_as_was_asked():
    half = np.zeros((9, 200), bool)
    half[:, 100:] = True
    row = shadow_mask(half, (200, 9), 20)[4]
    assert np.all(np.diff(row) >= 0)
    width = np.interp(0.9, row, np.arange(200)) - np.interp(0.1, row, np.arange(200))
    assert width == pytest.approx(20, rel=0.03)
    image = np.full((9, 200, 3), 50000, np.uint16)
    shaded, mask = cast_shadow(image, half, 0.2, 20)
    assert np.abs(shaded[..., 0] - 50000 * (1 - 0.8 * mask)).max() <= 0.6


def test_shadows_are_bluer_than_the_sun_and_each_strength_is_darker():
    ratios = [shadow_ratio(strength) for strength in ("light", "moderate", "heavy")]
    for red, green, blue in ratios:
        assert red < green < blue < 1
    assert ratios[0][1] > ratios[1][1] > ratios[2][1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ratio": (0, 1, 1)}, "shadow ratio"),
        ({"ratio": 1.5}, "shadow ratio"),
        ({"ratio": (0.5, 0.5)}, "shadow ratio"),
        ({"region": [(0, 0), (1, 1)]}, "polygon of 2 corners"),
        ({"region": np.zeros((3, 4))}, "region of shape"),
        ({"region": np.full((60, 80), 2.0)}, "must lie in"),
        ({"penumbra_px": -1}, "penumbra"),
        ({"linear": np.zeros((60, 80, 3), np.uint8)}, "expected linear"),
    ],
)
def test_what_cannot_be_right_is_refused(changes: dict, said: str):
    with pytest.raises(InputError, match=said):
        cast_shadow(**{"linear": picture(), "region": SQUARE, "ratio": 0.5, "penumbra_px": 1.0, **changes})


def test_shadows_are_the_same_for_the_same_names_in_both_versions_and_on_any_number_of_workers(pair: Path):
    for kind, workers in (("linear", 1), ("srgb", 2)):
        assert cast_folder(pair / kind, pair / f"{kind}-out", 2, seed=3, workers=workers).done == 2
    masks = [(pair / f"{kind}-out/masks/0 ö.png").read_bytes() for kind in ("linear", "srgb")]
    assert masks[0] == masks[1] != (pair / "srgb-out/masks/1 ö.png").read_bytes()
    cast_folder(pair / "srgb", pair / "other", 2, seed=4)
    assert (pair / "other/masks/0 ö.png").read_bytes() != masks[0]
    shadow = read_grey(pair / "linear-out/masks/0 ö.png") == 255
    assert 0 < shadow.mean() < 1
    after = read_linear(pair / "linear-out/images/0 ö.tiff")
    expected = picture(0)[shadow] * np.array(shadow_ratio("moderate"))
    assert np.abs(after[shadow] - expected).max() <= 0.003 * 65535
    assert np.abs(read_rgb(pair / "srgb-out/images/0 ö.png").astype(int) - linear_to_srgb(after)).max() <= 2


def test_a_dataset_keeps_its_labels_and_a_second_run_does_nothing(pair: Path):
    words = ["shadows", "cast", str(pair / "srgb"), str(pair / "out"), "--strength", "heavy"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "cast on 2, skipped 0" in result.output
    assert (pair / "out/labels/1 ö.txt").read_text() == "0 0.5 0.5 1 1\n"
    assert "train: images" in (pair / "out/data.yaml").read_text()
    assert len(json.loads((pair / "out/shadows.json").read_text())["images"]["images/0 ö.png"]["regions"]) == 1
    assert "cast on 0, skipped 2" in CliRunner().invoke(app, words).output
    (pair / "srgb/images/0 ö.png").write_bytes(b"broken")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1 and "0 ö.png: cannot be read" in result.output
    assert not (pair / "out/images/0 ö.png").exists()


def test_images_without_illumination_are_refused(pair: Path):
    convert_folder(pair / "linear", pair / "chroma", (1, 1, 1))
    with pytest.raises(InputError, match="no illumination left"):
        cast_folder(pair / "chroma", pair / "out")
    (pair / "chroma/chroma.json").unlink()
    failed = cast_folder(pair / "chroma", pair / "out").failed
    assert len(failed) == 2 and "no illumination left" in failed[0][1]
    for wrong in ({"count": 0}, {"seed": -1}, {"strength": "dark"}):
        with pytest.raises(InputError):
            cast_folder(pair / "linear", pair / "out2", **wrong)
    with pytest.raises(InputError, match="lies in the other"):
        cast_folder(pair / "linear", pair / "linear" / "out")
