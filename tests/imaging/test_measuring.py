from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from frostline.cli import app
from frostline.datasets.scenes import render_scenes
from frostline.errors import InputError
from frostline.imaging import (
    convert_folder,
    measure_folder,
    parse_isd,
    read_grey,
    read_linear,
    write_png8,
    write_tiff16,
)
from frostline.imaging.measuring import find_places
from frostline.report.view import draw_view

STEP = np.array([1.0, 0.8, 0.6])


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    render_scenes(root, 4, 0, (320, 224), workers=1)
    return root


def halves(noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-RGB of one grey surface, left half in the sun, and its mask."""
    mask = np.zeros((48, 44), np.uint8)
    mask[:, 22:] = 255
    logs = 9.0 - (mask / 255)[..., None] * STEP + np.random.default_rng(0).normal(0, noise, (48, 44, 3))
    return logs.astype(np.float32), mask


def test_contrast_and_texture_are_those_that_were_put_in():
    logs, mask = halves(0.02)
    usable = np.ones(mask.shape, bool)
    places = find_places(logs, (logs - 9) * 0.1 + 9, usable, mask)
    assert places is not None
    result = places.contrast()
    assert (result.places, result.before) == (2, pytest.approx(np.linalg.norm(STEP), rel=0.02))
    assert (result.fall_db, result.texture) == (pytest.approx(20, abs=1e-3), pytest.approx(0.1, rel=1e-3))


def test_pixels_that_say_nothing_and_changes_of_material_are_left_out():
    logs, mask = halves()
    usable = np.ones(mask.shape, bool)
    wrong = logs.copy()
    wrong[:24, :10] = 0
    usable[:24, :10] = False
    result = find_places(wrong, logs, usable, mask)
    assert result is not None and result.contrast().before == pytest.approx(np.linalg.norm(STEP), rel=1e-4)
    redder = logs.copy()
    redder[:, 22:, 2] += 0.8  # "shadow" that is brighter in blue than the sun: another material
    assert find_places(redder, logs, np.ones(mask.shape, bool), mask) is None
    assert find_places(logs, logs, np.ones(mask.shape, bool), np.zeros_like(mask)) is None


@pytest.mark.parametrize(("encode", "bits"), [("linear", 16), ("log", 16), ("log", 8)])
def test_shadows_of_rendered_scenes_lose_twenty_decibels_with_the_true_direction(scenes, tmp_path, encode, bits):
    isd = parse_isd(str(scenes / "isd.json"))
    convert_folder(scenes / "linear", tmp_path / "out", isd, encode=encode, bits=bits, workers=1)
    summary = measure_folder(scenes / "linear", tmp_path / "out", scenes / "masks", workers=1)
    assert len(summary.images) == 4 and not summary.failed
    assert summary.overall.fall_db >= 20
    assert 0.05 < summary.overall.texture < 1
    convert_folder(scenes / "linear", tmp_path / "grey", (1, 1, 1), encode=encode, bits=bits, workers=1)
    grey = measure_folder(scenes / "linear", tmp_path / "grey", scenes / "masks", workers=1)
    assert grey.overall.fall_db < summary.overall.fall_db - 6  # a wrong direction is told from the right one


def test_the_command_prints_the_fall_and_writes_every_image(scenes: Path, tmp_path: Path):
    out = tmp_path / "out"
    convert_folder(scenes / "linear", out, parse_isd(str(scenes / "isd.json")), suffix="_lc", workers=1)
    words = ["chroma", "measure", str(scenes / "linear"), str(out), "--masks"]
    result = CliRunner().invoke(app, [*words, str(scenes / "masks"), "--out", str(tmp_path / "m.json")])
    assert result.exit_code == 0 and "shadow contrast falls by" in result.output
    told = json.loads((tmp_path / "m.json").read_text())
    assert len(told["images"]) == 4 and told["overall"]["fall_db"] > 20
    few = tmp_path / "few"
    for index in range(3):
        mask = read_grey(next((scenes / "masks").rglob(f"scene_{index:05d}.png")))
        write_png8(few / f"scene_{index:05d}.png", mask if index else mask[:9])
    result = CliRunner().invoke(app, [*words, str(few)])
    assert result.exit_code == 1
    assert "0 masks named scene_00003" in result.output and "differ in size" in result.output
    (tmp_path / "none").mkdir()
    for masks, dst, said in (("none", out, "no image has a place"), ("few", scenes, "has no chroma.json")):
        with pytest.raises(InputError, match=said):
            measure_folder(scenes / "linear", dst, tmp_path / masks, workers=1)


def test_the_view_is_as_high_as_its_image_and_goes_where_it_was_told(scenes: Path, tmp_path: Path):
    image = next((scenes / "linear").rglob("scene_00001.tiff"))
    words = ["chroma", "view", str(image), "--isd", str(scenes / "isd.json"), "--out", str(tmp_path / "v.png")]
    assert CliRunner().invoke(app, words).exit_code == 0
    with Image.open(tmp_path / "v.png") as made:
        assert made.size[0] == 1950 and 1150 < made.size[1] < 1350
        assert np.asarray(made.convert("L")).std() > 20
    write_tiff16(tmp_path / "wide.tiff", read_linear(image)[100:180])
    assert CliRunner().invoke(app, [*words[:2], str(tmp_path / "wide.tiff"), *words[3:]]).exit_code == 0
    with Image.open(tmp_path / "v.png") as made:
        assert made.size[0] == 1950 and made.size[1] < 900
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"v\.png: cannot be written"):
        draw_view(image, (1, 1, 1), tmp_path / "file" / "v.png")
    write_tiff16(tmp_path / "black.tiff", np.zeros((9, 9, 3), np.uint16))
    for source, out, said in ((image, "v.jpg", "ends in .png"), (tmp_path / "black.tiff", "b.png", "nothing to draw")):
        with pytest.raises(InputError, match=said):
            draw_view(source, (1, 1, 1), tmp_path / out)
    assert not (tmp_path / "b.png").exists()
