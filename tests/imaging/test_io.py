from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from frostline.errors import InputError
from frostline.imaging import read_linear, srgb_to_linear, tiff_metadata, write_png8, write_tiff, write_tiff16
from frostline.imaging.io import read_rgb

RGB16 = np.random.default_rng(0).integers(0, 65536, (20, 30, 3)).astype(np.uint16)
RGB8 = (RGB16 >> 8).astype(np.uint8)


@pytest.mark.parametrize("form", [{}, {"compression": "lzw"}, {"compression": "zstd"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_sixteen_bit_tiff_is_read_as_it_is(tmp_path: Path, form: dict, planes: str):
    path = tmp_path / "a.TIF"
    image = RGB16 if planes == "contig" else np.moveaxis(RGB16, -1, 0)
    tifffile.imwrite(path, image, photometric="rgb", planarconfig=planes, **form)
    assert np.array_equal(read_linear(path), RGB16)


def test_eight_bits_are_linearised_and_sixteen_are_not_unless_said_otherwise(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tiff", RGB8, photometric="rgb")
    write_png8(tmp_path / "b.png", RGB8)
    cv2.imwrite(str(tmp_path / "c.png"), RGB16[..., ::-1])
    for eight in ("a.tiff", "b.png"):
        assert np.array_equal(read_linear(tmp_path / eight), srgb_to_linear(RGB8))
        assert np.array_equal(read_linear(tmp_path / eight, "linear"), RGB8.astype(int) * 257)
    assert np.array_equal(read_linear(tmp_path / "c.png"), RGB16)
    assert np.array_equal(read_linear(tmp_path / "c.png", "srgb"), srgb_to_linear(RGB16))
    with pytest.raises(InputError, match="unknown transfer"):
        read_linear(tmp_path / "c.png", "gamma")  # type: ignore[arg-type]


def test_a_jpeg_is_read_in_rgb_and_turned_upright(tmp_path: Path):
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :16] = (250, 10, 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=95, exif=exif)
    read = read_rgb(tmp_path / "a.jpg")
    assert read.shape == (32, 16, 3)
    assert np.abs(read[4, 8].astype(int) - (250, 10, 10)).max() < 12


def test_what_is_written_comes_back_with_its_metadata(tmp_path: Path):
    path = tmp_path / "new folder" / "ä b.tiff"
    write_tiff16(path, RGB16, {"source": "ä.png"})
    assert np.array_equal(read_linear(path), RGB16)
    assert json.loads(tifffile.TiffFile(path).pages[0].description) == {"source": "ä.png"}
    first = path.read_bytes()
    write_tiff16(path, RGB16, {"source": "ä.png"})
    assert path.read_bytes() == first
    write_png8(tmp_path / "grey.png", RGB8[..., 0])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "grey.png")), RGB8[..., 0])
    assert sorted(file.name for file in path.parent.iterdir()) == ["ä b.tiff"]
    for write, bad in ((write_tiff16, RGB8), (write_png8, RGB16), (write_png8, RGB8[..., :2])):
        with pytest.raises(InputError, match="needs"):
            write(tmp_path / "bad.png", bad)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_a_file_of_another_kind_is_named_by_its_path_alone(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"no image at all, but long enough for a header" * 9)
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_rgb(path)
    assert str(caught.value).startswith(f"{path}: ") and "object at 0x" not in str(caught.value)


@pytest.mark.parametrize("kind", ["tiff", "tiled.tiff", "deflate.tiff", "png", "16.png", "jpg"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.95])
def test_a_truncated_file_is_one_clear_line(tmp_path: Path, kind: str, share: float, capfd, caplog):
    path = tmp_path / f"a.{kind}"
    if kind.endswith("tiff"):
        form = {"tiled.tiff": {"tile": (16, 16)}, "deflate.tiff": {"compression": "deflate"}}.get(kind, {})
        tifffile.imwrite(path, RGB16, photometric="rgb", **form)
    elif kind == "jpg":
        Image.fromarray(RGB8).save(path)
    else:
        cv2.imwrite(str(path), RGB16 if kind == "16.png" else RGB8)
    whole = path.read_bytes()
    read_rgb(path)
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError) as told:
        read_rgb(path)
    message = str(told.value)
    assert message.startswith(f"{path}: cannot be read, truncated or corrupt") and "\n" not in message
    assert capfd.readouterr().err == "" and caplog.text == ""


def _bytes(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


GREY, RGBA = Image.fromarray(RGB8[..., 0]), Image.fromarray(np.dstack([RGB8, RGB8[..., 0]]))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", _bytes(GREY, "PNG"), "a single channel"),
        ("a.jpg", _bytes(GREY, "JPEG"), "a single channel"),
        ("a.tif", _bytes(GREY, "TIFF"), "a single channel"),
        ("a.png", _bytes(RGBA, "PNG"), "four channels"),
        ("a.tif", _bytes(RGBA, "TIFF"), "four channels"),
        ("a.jpg", _bytes(RGBA.convert("CMYK"), "JPEG"), "four channels"),
        ("a.tif", _bytes(Image.fromarray(RGB8).quantize(8), "TIFF"), "palette"),
        ("a.tif", _bytes(Image.fromarray(RGB8[..., 0].astype(np.float32)), "TIFF"), "single channel"),
        ("a.png", b"", "empty"),
        ("a.png", b"not an image at all", "cannot be read"),
        ("a.gif", b"GIF89a", "not an image that is read here"),
    ],
)
def test_an_image_that_is_not_rgb_is_one_clear_line(tmp_path: Path, name: str, content: bytes, said: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as told:
        read_linear(tmp_path / name)
    assert str(told.value).startswith(str(tmp_path / name))


def test_a_missing_file_is_one_clear_line(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        read_linear(tmp_path / "b.tiff")


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "zstd"])
@pytest.mark.parametrize("tile_px", [None, 16])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_every_form_of_tiff_that_is_written_is_read_back_unchanged(tmp_path: Path, compression, tile_px, kind):
    image = RGB8 if kind == np.uint8 else RGB16.astype(kind) + kind(0.25) * (kind == np.float32)
    image = np.minimum(image, 65535) if kind == np.float32 else image
    write_tiff(tmp_path / "a.tiff", image, {"k": 1}, compression, tile_px)
    assert np.array_equal(read_rgb(tmp_path / "a.tiff"), image)
    assert tiff_metadata(tmp_path / "a.tiff") == {"k": 1}
    page = tifffile.TiffFile(tmp_path / "a.tiff").pages[0]
    assert page.is_tiled is (tile_px is not None)
    assert (page.compression == 1) is (compression == "none")


def test_float_tiffs_are_shares_of_full_scale_or_code_values(tmp_path: Path):
    shares = (RGB16 / 65535).astype(np.float32)
    for name, stored in (("shares", shares), ("codes", RGB16.astype(np.float32))):
        write_tiff(tmp_path / f"{name}.tiff", stored)
        assert read_rgb(tmp_path / f"{name}.tiff").dtype == np.float32
        assert np.array_equal(read_linear(tmp_path / f"{name}.tiff"), RGB16)
        as_srgb = read_linear(tmp_path / f"{name}.tiff", "srgb").astype(int)
        assert np.abs(as_srgb - srgb_to_linear(RGB16)).max() <= 1


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "2 of 1800 float values are NaN or infinite"), (-0.5, "2 of 1800 float values are negative"),
     (np.inf, "NaN or infinite"), (1.3, "values up to 1.3; expected shares"), (70000.0, "values up to 70000")],
)  # fmt: skip
def test_float_pixels_that_cannot_be_right_are_counted_in_one_line(tmp_path: Path, value: float, said: str):
    image = np.full(RGB16.shape, 0.5, np.float32)
    image[3, 4, :2] = value
    write_tiff(tmp_path / "a.tiff", image)
    with pytest.raises(InputError, match=said) as told:
        read_linear(tmp_path / "a.tiff")
    assert str(told.value).startswith(str(tmp_path / "a.tiff"))


def test_a_tiff_that_cannot_be_written_is_refused(tmp_path: Path):
    for wrong in ({"compression": "jpeg"}, {"tile_px": 20}):
        with pytest.raises(InputError):
            write_tiff(tmp_path / "a.tiff", RGB16, **wrong)
    with pytest.raises(InputError, match="needs"):
        write_tiff(tmp_path / "a.tiff", RGB16.astype(np.float64))
    (tmp_path / "note.tiff").write_text("no image")
    assert tiff_metadata(tmp_path / "note.tiff") == {}
