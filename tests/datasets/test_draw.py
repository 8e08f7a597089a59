from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from frostline.datasets.draw import draw_dataset, overlay, tone_map
from frostline.datasets.rows import Row
from frostline.errors import InputError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Linear 16-bit images, dark as linear light is."""
    root = tmp_path / "ein Ä"
    draw = np.random.default_rng(0)
    for split, count in {"train": 5, "val": 3}.items():
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            linear = (draw.random((60, 120, 3)) ** 4 * 9000).astype(np.uint16)
            tifffile.imwrite(root / f"images/{split}/雪{index}.tif", linear, photometric="rgb")
            (root / f"labels/{split}/雪{index}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [Fußgänger]\n", encoding="utf-8")
    return root / "data.yaml"


def test_every_image_gets_an_overlay_of_its_size_and_a_place_on_the_sheet(data: Path, tmp_path: Path) -> None:
    drawn = draw_dataset(data, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in drawn.images] == [
        *(f"train/雪{index}.png" for index in range(5)),
        *(f"val/雪{index}.png" for index in range(3)),
    ]
    assert (drawn.boxes, drawn.problems) == (8, [])
    assert {Image.open(path).size for path in drawn.images} == {(120, 60)}
    sheet = np.asarray(Image.open(drawn.sheet))
    assert sheet.shape[1] == 3 * 490 + 10
    assert (sheet[20:250, 30:470].std(axis=(0, 1)) > 20).all()


def test_split_and_limit_choose(data: Path, tmp_path: Path) -> None:
    assert {path.parent.name for path in draw_dataset(data, tmp_path / "a", "val").images} == {"val"}
    few = draw_dataset(data, tmp_path / "b", limit=4).images
    assert (len(few), {path.parent.name for path in few}) == (4, {"train", "val"})
    with pytest.raises(InputError, match="has no split 'test', only train, val"):
        draw_dataset(data, tmp_path / "c", "test")


def test_what_cannot_be_drawn_is_a_line_and_the_rest_is(data: Path, tmp_path: Path) -> None:
    image = data.parent / "images/train/雪0.tif"
    image.write_bytes(image.read_bytes()[:3000])
    (data.parent / "labels/val/雪1.txt").write_text("7 0.5 0.5 0.5 0.5\n")
    drawn = draw_dataset(data, tmp_path / "out")
    assert len(drawn.images) == 7
    assert ["雪0.tif: cannot be read" in p or "class 7 is out of range" in p for p in drawn.problems] == [True, True]
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        draw_dataset(data, tmp_path / "file/out")


@pytest.mark.parametrize("power", [1, 4, 0.3])
def test_sixteen_bits_come_out_neither_black_nor_white(power: float) -> None:
    values = np.linspace(0, 1, 64 * 64 * 3).reshape(64, 64, 3) ** power
    for dark in (300, 65535):
        mapped = tone_map((values * dark).astype(np.uint16))
        assert 60 < np.median(mapped) < 170
        assert mapped.max() == 255 and mapped.min() == 0
        assert len(np.unique(mapped)) > 60
    floats = tone_map(values.astype(np.float32))
    assert 60 < np.median(floats) < 170


def test_eight_bits_stay_as_they_are_and_grey_becomes_three_channels() -> None:
    pixels = np.random.default_rng(0).integers(0, 99, (9, 9, 4), dtype=np.uint8)
    assert np.array_equal(tone_map(pixels), pixels[..., :3])
    assert np.array_equal(tone_map(pixels[..., :1]), np.repeat(pixels[..., :1], 3, axis=2))
    assert tone_map(np.full((4, 4, 3), 9, np.uint16)).shape == (4, 4, 3)
    assert tone_map(np.full((4, 4, 1), np.nan, np.float32)).max() == 0


def test_a_box_is_drawn_where_its_label_says_in_the_class_colour() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    drawn = overlay(picture, [Row(1, 1, 0.5, 0.6, 0.4, 0.4)], {0: "a", 1: "b"})
    assert not picture.any()
    assert np.array_equal(drawn[60, 60], (0xE6, 0x9F, 0x00))  # red, green, blue of the second class
    assert not drawn[60, 100].any() and not drawn[95, 60].any()


def test_the_name_of_a_box_at_the_upper_edge_stays_in_the_picture() -> None:
    drawn = overlay(np.zeros((100, 200, 3), np.uint8), [Row(1, 1, 0.5, 0.2, 0.4, 0.5)], {0: "a", 1: "b"})
    assert np.array_equal(drawn[8, 62], (0xE6, 0x9F, 0x00))
