"""Pretraining without lightly-train: settings, images and their conversion, what the cache goes by, random weights."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from frostline.datasets import PixelFormat
from frostline.errors import InputError
from frostline.training.pretraining import Pretraining
from frostline.training.pretraining.cache import content_key
from frostline.training.pretraining.images import (
    check_readable,
    copy_deep,
    describe_formats,
    pixel_formats,
    survey,
    to_eight_bits,
)

SIXTEEN = PixelFormat("uint16", 0, 65535, "linear")


def srgb(share: float) -> int:
    """IEC 61966-2-1, written out for one value."""
    return round(255 * (12.92 * share if share <= 0.0031308 else 1.055 * share ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize(("low", "high"), [(0, 65535), (0, 4095), (512, 16383)])
def test_linear_light_takes_the_srgb_curve_over_the_declared_range(low: int, high: int) -> None:
    values = np.array([low, low + 1, low + (high - low) // 100, (low + high) // 2, high - 1, high], np.uint16)
    given = to_eight_bits(values, PixelFormat("uint16", low, high, "linear"))
    assert given.dtype == np.uint8
    assert given.tolist() == [srgb((int(value) - low) / (high - low)) for value in values]
    assert given[0] == 0 and given[-1] == 255


def test_logarithms_and_srgb_values_are_scaled_evenly() -> None:
    values = np.array([0, 257, 32768, 65535], np.uint16)
    for pixels in (PixelFormat("uint16", 0, 65535, "log", (7.4, 13.4)), PixelFormat("uint16", 0, 65535, "srgb")):
        assert to_eight_bits(values, pixels).tolist() == [0, 1, 128, 255]


def test_floats_take_the_same_curve_as_integers() -> None:
    shares = np.array([0, 0.001, 0.18, 0.5, 1], np.float32)
    given = to_eight_bits(shares, PixelFormat("float32", 0, 1, "linear"))
    assert given.tolist() == [srgb(float(share)) for share in shares]


def write(folder: Path) -> dict[str, np.ndarray]:
    """A folder with an 8-bit PNG, a 16-bit TIFF, a 16-bit PNG, a float TIFF and an 8-bit zstd TIFF."""
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    light = rng.random((20, 30, 3), dtype=np.float32)
    flat = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), flat)
    tifffile.imwrite(folder / "b.tif", deep, photometric="rgb")
    cv2.imwrite(str(folder / "c.png"), deep[..., ::-1])
    tifffile.imwrite(folder / "d.tiff", light, photometric="rgb")
    tifffile.imwrite(folder / "e.tif", flat, photometric="rgb", compression="zstd")
    return {"b": deep, "c": deep, "d": light, "e": flat}


def test_only_what_lightly_train_would_misread_is_copied(tmp_path: Path) -> None:
    arrays = write(tmp_path / "in")
    images = survey(tmp_path / "in")
    formats = pixel_formats(images)
    given = copy_deep(images, formats, tmp_path / "copies")
    assert given[0] == tmp_path / "in" / "a.png"
    assert all(path.parent == tmp_path / "copies" and path.suffix == ".png" for path in given[1:])
    for path, (name, array) in zip(given[1:], arrays.items(), strict=True):
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]
        kind = str(array.dtype)
        full = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
        expected = array if kind == "uint8" else np.vectorize(lambda v, full=full: srgb(float(v) / full))(array)
        assert np.array_equal(read, expected), name
    told = describe_formats(formats, check_readable(images, formats))
    assert told[0].startswith("2 uint16 images") and "value for value" in told[2]


def test_the_range_that_a_data_yaml_declares_is_used(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
        tifffile.imwrite(
            tmp_path / "images" / split / "x.tif", np.full((16, 16, 3), 4095, np.uint16), photometric="rgb"
        )
    data = tmp_path / "data.yaml"
    text = "train: images/train\nval: images/val\nnames: {0: car}\n"
    data.write_text(text + "pixels: {range: [0, 4095]}\n")
    images = survey(tmp_path)
    formats = pixel_formats(images, str(data))
    assert {pixels.high for pixels in formats.values()} == {4095}
    assert check_readable(images, formats) == (4095, 4095)
    assert "warning" not in "".join(describe_formats(formats, (4095, 4095)))
    assert "less than a quarter of the range" in "".join(describe_formats(pixel_formats(images), (4095, 4095)))
    data.write_text(text + "pixels: {range: [0, 1023]}\n")
    with pytest.raises(InputError, match="outside the range 0 to 1023"):
        check_readable(images, pixel_formats(images, str(data)))


def test_images_that_cannot_be_read_are_named_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "in")
    images = tmp_path / "in"
    (images / "broken.tif").write_bytes(b"II*\0nothing")
    whole = (images / "a.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    (images / "empty.jpg").touch()
    with pytest.raises(InputError, match=r"3 of 8 images cannot be read: broken.tif, cut.png, empty.jpg .*mend them"):
        pixel_formats(survey(images))
    for name in ("broken.tif", "cut.png", "empty.jpg"):
        (images / name).unlink()
    (images / "wrong.png").write_bytes(whole[:100] + bytes(60) + whole[160:])  # whole by its ends only
    found = survey(images)
    with pytest.raises(InputError, match=r"1 of 6 images cannot be read: wrong.png"):
        check_readable(found, pixel_formats(found))


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.touch()])
def test_no_folder_or_no_images_is_one_line(tmp_path: Path, make: object) -> None:
    make(tmp_path / "in")  # type: ignore[operator]
    with pytest.raises(InputError, match=r"no such folder|no images|expected a folder"):
        survey(tmp_path / "in")


def test_images_are_known_by_content_not_by_name(tmp_path: Path) -> None:
    write(tmp_path / "in")
    before = survey(tmp_path / "in").key
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "z.png")
    (tmp_path / "in").rename(tmp_path / "other")
    assert survey(tmp_path / "other").key == before
    image = tmp_path / "other" / "z.png"
    image.write_bytes(image.read_bytes() + b"\0")
    assert survey(tmp_path / "other").key != before


def test_every_ingredient_changes_the_key(tmp_path: Path) -> None:
    (tmp_path / "t.pth").write_bytes(b"1")
    base = {"images": "i", "epochs": 3}

    def key(model: str = "m", images: str = "k", formats: dict | None = None, lightly: str = "0.18", **changed) -> str:  # type: ignore[no-untyped-def,type-arg]
        return content_key(Pretraining.parse({**base, **changed}, ""), model, images, formats or {}, lightly)

    distilled = {"method": "distillation", "teacher": "dinov3/vits16"}
    keys = [
        key(), key(model="n"), key(images="l"), key(formats={"d": SIXTEEN}), key(lightly="0.19"),
        key(formats={"d": PixelFormat("uint16", 0, 4095, "linear")}), key(epochs=4), key(imgsz=128), key(batch=8),
        key(seed=1), key(lr=0.1), key(method="distillation"), key(**distilled),
        key(**distilled, teacher_weights=str(tmp_path / "t.pth")),
    ]  # fmt: skip
    (tmp_path / "t.pth").write_bytes(b"2")
    keys.append(key(**distilled, teacher_weights=str(tmp_path / "t.pth")))
    assert len(set(keys)) == len(keys)
    base["images"] = "elsewhere"
    assert key() == keys[0]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "expected settings such as"),
        ({}, "images: is missing"),
        ({"images": "i", "epoch": 3}, "unknown key 'epoch', did you mean 'epochs'"),
        ({"images": "i", "method": "simcrl"}, "did you mean 'simclr'"),
        ({"images": "i", "epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"images": "i", "epochs": True}, "epochs: expected a whole number, got True"),
        ({"images": "i", "lr": math.inf}, "lr: expected a (finite )?number"),
        ({"images": "i", "teacher": "dinov3/vits16"}, "a teacher is for method: distillation"),
        ({"images": "i", "method": "distillation", "teacher_weights": "w"}, "teacher_weights need a teacher"),
    ],
)
def test_wrong_settings_are_one_line(value: object, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        Pretraining.parse(value, "pretrain")
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_command_says_how_to_get_it(tmp_path: Path) -> None:
    program = (
        "import sys, importlib.metadata as m; known = m.version\n"
        "def version(name):\n"
        "    if name == 'lightly-train': raise m.PackageNotFoundError(name)\n"
        "    return known(name)\n"
        "m.version = version\n"
        "sys.argv = ['frostline', 'pretrain', 'yolo11n.yaml', '.']\n"
        "from frostline.cli.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'frostline[pretrain]'")
    assert list(tmp_path.iterdir()) == []
