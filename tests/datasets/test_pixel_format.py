from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import yaml

from frostline import InputError
from frostline.datasets import PixelFormat, load_dataset, pixel_format
from frostline.datasets.headers import StoredAs
from frostline.datasets.pixel_format import given_format, told_format
from frostline.imaging import write_tiff16


def dataset(folder: Path, kind: str = "uint16", pixels: Any = None, suffix: str = ".tif", **options: Any) -> Path:
    """A data.yaml with one image in either split."""
    for split in ("train", "val"):
        path = folder / "images" / split / f"{split}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.zeros((16, 16, 3), kind)
        tifffile.imwrite(path, image, **options) if suffix == ".tif" else cv2.imwrite(str(path), image)
    told = {"train": "images/train", "val": "images/val", "names": ["x"]} | ({"pixels": pixels} if pixels else {})
    (folder / "data.yaml").write_text(yaml.safe_dump(told))
    return folder / "data.yaml"


def format_of(data: Path) -> PixelFormat:
    return pixel_format(load_dataset(data))


@pytest.mark.parametrize(
    ("kind", "high", "padding"), [("uint16", 65535.0, 29298.0), ("float32", 1.0, pytest.approx(114 / 255))]
)
def test_without_a_declaration_the_range_is_that_of_the_type(
    kind: str, high: float, padding: Any, tmp_path: Path
) -> None:
    found = format_of(dataset(tmp_path, kind))
    assert found == PixelFormat(kind, 0.0, high, "linear") and found.deep and found.exact
    assert found.padding == padding


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_eight_bits_are_left_to_ultralytics(suffix: str, tmp_path: Path) -> None:
    found = format_of(dataset(tmp_path, "uint8", suffix=suffix))
    assert found == PixelFormat("uint8", 0.0, 255.0, "srgb", exact=False) and not found.deep
    assert found.padding == 114


def test_eight_bits_that_opencv_cannot_decode_are_read_here(tmp_path: Path) -> None:
    found = format_of(dataset(tmp_path, "uint8", compression="zstd"))
    assert found.exact and not found.deep


def test_a_sixteen_bit_png_counts_as_sixteen_bits(tmp_path: Path) -> None:
    assert format_of(dataset(tmp_path, suffix=".png")) == PixelFormat("uint16", 0.0, 65535.0, "linear")


def test_the_declaration_is_taken(tmp_path: Path) -> None:
    declared = {"range": [256, 4095], "encoding": "log", "log_range": [7, 13]}
    found = format_of(dataset(tmp_path, pixels=declared))
    assert found == PixelFormat("uint16", 256.0, 4095.0, "log", (7.0, 13.0))
    assert found.padding == round(256 + 114 / 255 * 3839)


def test_what_chroma_convert_wrote_is_known_and_a_declaration_comes_before_it(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    image = tmp_path / "images" / "train" / "train.tif"
    write_tiff16(image, np.zeros((16, 16, 3), np.uint16), {"encode": "log", "anchor": 10.4})
    found = format_of(data)
    assert found.encoding == "log" and found.log_range == pytest.approx((7.4, 13.4))
    write_tiff16(image, np.zeros((16, 16, 3), np.uint16), {"encode": "linear", "anchor": 10.4})
    assert format_of(data).encoding == "linear"
    write_tiff16(image, np.zeros((16, 16, 3), np.uint16), {"encode": "log", "anchor": 10.4})
    told = yaml.safe_load(data.read_text()) | {"pixels": {"encoding": "srgb"}}
    data.write_text(yaml.safe_dump(told))
    assert format_of(data).encoding == "srgb"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"rnage": [0, 1]}, r"'pixels:' has no 'rnage'; did you mean 'range'\?|'pixels:' has no 'rnage'"),
        ({"encoding": "gamma"}, r"'encoding: gamma' is not one of linear, srgb, log"),
        ({"range": [0, 65536]}, r"'range: \[0, 65536\]' goes beyond what uint16 holds, 0 to 65535"),
        ({"range": [-1, 100]}, r"'range: \[-1, 100\]' goes beyond what uint16 holds"),
        ({"range": [5, 5]}, r"'range:' \[5, 5\] must rise"),
        ({"range": [0, float("inf")]}, r"'range:' \[0, inf\] must rise"),
        ({"range": 7}, r"'range:' 7 is not two numbers"),
        ({"range": [1, 2, 3]}, r"'range:' \[1, 2, 3\] is not two numbers"),
        ({"range": ["a", 2]}, r"'range:' \['a', 2\] is not two numbers"),
        ({"encoding": "log"}, r"'encoding: log' needs 'log_range:'"),
        ({"encoding": "log", "log_range": [3, 1]}, r"'log_range:' \[3, 1\] must rise"),
        ({"log_range": [1, 3]}, r"'log_range:' goes with 'encoding: log' only"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=r"^data\.yaml: " + message):
        given_format(StoredAs("uint16", by_opencv=False), declared, "data.yaml")


def test_a_float_range_may_lie_anywhere() -> None:
    assert given_format(StoredAs("float32", by_opencv=False), {"range": [-2, 70000]}, "x").high == 70000


def test_a_declaration_that_is_no_mapping_or_is_for_eight_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.yaml: 'pixels:' is 'linear'; it is written as"):
        format_of(dataset(tmp_path / "a", pixels="linear"))
    with pytest.raises(InputError, match=r"'pixels:' is for images of more than 8 bits, and .*train\.tif has 8"):
        format_of(dataset(tmp_path / "b", "uint8", pixels={"range": [0, 255]}))


def test_metadata_without_an_anchor_tells_nothing(tmp_path: Path) -> None:
    for number, told in enumerate(({"encode": "log"}, {"encode": "log", "anchor": "high"})):
        write_tiff16(tmp_path / f"{number}.tif", np.zeros((4, 4, 3), np.uint16), told)
        assert told_format(tmp_path / f"{number}.tif") == {}
