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
from frostline.imaging import read_linear, srgb_to_linear, write_png8, write_tiff16
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


def test_float_tiff_and_missing_files_are_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tiff", RGB16.astype(np.float32), photometric="rgb")
    with pytest.raises(InputError, match="type float32"):
        read_linear(tmp_path / "a.tiff")
    with pytest.raises(InputError, match="no such file"):
        read_linear(tmp_path / "b.tiff")
