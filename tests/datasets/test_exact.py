"""Reading to the last bit, resizing and both caches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from ultralytics.cfg import get_cfg

from frostline import InputError
from frostline.datasets import EIGHT_BITS, PixelFormat
from frostline.datasets.exact import ExactDataset, read_exact, to_unit

LINEAR = PixelFormat("uint16", 0.0, 65535.0, "linear")
FLOAT = PixelFormat("float32", 0.0, 1.0, "linear")
PLAIN = {"mosaic": 0.0, "translate": 0.0, "scale": 0.0, "fliplr": 0.0, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}


def values(kind: str = "uint16", height: int = 40, width: int = 64, seed: int = 0) -> np.ndarray:
    picked = np.random.default_rng(seed).integers(0, 65536, (height, width, 3))
    return picked.astype(np.uint16) if kind == "uint16" else (picked / 65535).astype(np.float32)


def folder_of(path: Path, kind: str = "uint16", count: int = 3, **size: int) -> Path:
    """Images of random values, each with one box."""
    for part in ("images", "labels"):
        (path / part).mkdir(parents=True)
    for index in range(count):
        tifffile.imwrite(path / "images" / f"{index}.tif", values(kind, seed=index, **size))
        (path / "labels" / f"{index}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    return path / "images"


def as_old_as(cached: Path, image: Path) -> None:
    state = image.stat()
    os.utime(cached, ns=(state.st_atime_ns, state.st_mtime_ns))


def made(images: Path, pixels: PixelFormat = LINEAR, **changes: Any) -> ExactDataset:
    options: dict[str, Any] = {"imgsz": 64, "cache": None, "augment": False, **changes}
    return ExactDataset(
        img_path=str(images), data={"names": {0: "x"}, "nc": 1, "channels": 3}, task="detect", batch_size=2,
        hyp=get_cfg(overrides={**PLAIN, "augmentations": []}), pixels=pixels, prefix="", **options,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["uint16", "float32"])
@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "lzw"}, {"tile": (16, 16)}])
def test_every_bit_is_read_in_the_order_blue_green_red(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    pixels = values(kind)
    tifffile.imwrite(tmp_path / "ä b.tif", pixels, **options)
    read = read_exact(tmp_path / "ä b.tif", LINEAR if kind == "uint16" else FLOAT)
    assert read.dtype == kind and np.array_equal(read, pixels[..., ::-1]) and read.flags["C_CONTIGUOUS"]


def test_a_sixteen_bit_png_keeps_its_bits_and_grey_is_repeated(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), values()[..., ::-1])
    assert np.array_equal(read_exact(tmp_path / "x.png", LINEAR), values()[..., ::-1])
    tifffile.imwrite(tmp_path / "g.tif", values()[..., 0])
    assert np.array_equal(read_exact(tmp_path / "g.tif", LINEAR), np.repeat(values()[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("image", "pixels", "message"),
    [
        (np.full((8, 8, 3), np.nan, np.float32), FLOAT, "holds NaN or infinite values"),
        (np.full((8, 8, 3), np.inf, np.float32), FLOAT, "holds NaN or infinite values"),
        (np.full((8, 8, 3), -0.5, np.float32), FLOAT, "values from -0.5 to -0.5, outside the range 0 to 1"),
        (np.full((8, 8, 3), 1.5, np.float32), FLOAT, r"declare the right one as"),
        (
            np.full((8, 8, 3), 300, np.uint16),
            PixelFormat("uint16", 0.0, 255.0, "linear"),
            "values from 300 to 300, outside the range 0 to 255",
        ),
        (np.zeros((8, 8, 3), np.uint16), FLOAT, "holds uint16 values, not float32 like the rest of the dataset"),
        (np.zeros((8, 8, 4), np.uint16), LINEAR, "has 4 channels; save it with three"),
    ],
)
def test_an_image_that_cannot_be_used_is_one_clear_line(
    image: np.ndarray, pixels: PixelFormat, message: str, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="rgb")
    with pytest.raises(InputError, match=r"x\.tif: .*" + message) as caught:
        read_exact(tmp_path / "x.tif", pixels)
    assert "\n" not in str(caught.value)


def test_one_bad_pixel_among_good_ones_is_found(tmp_path: Path) -> None:
    image = values("float32")
    image[3, 4, 1] = np.nan
    tifffile.imwrite(tmp_path / "x.tif", image)
    with pytest.raises(InputError, match="NaN or infinite"):
        read_exact(tmp_path / "x.tif", FLOAT)


def test_values_become_shares_of_the_range() -> None:
    every = torch.from_numpy(np.arange(65536, dtype=np.uint16))
    assert torch.equal(to_unit(every, LINEAR), torch.arange(65536, dtype=torch.float32) / 65535)
    unit = to_unit(every[256:4096], PixelFormat("uint16", 256.0, 4095.0, "linear"))
    assert unit[0] == 0 and unit[-1] == 1 and unit.dtype == torch.float32
    assert len(torch.unique(to_unit(every, LINEAR))) == 65536


def test_shares_of_the_range_leave_the_values_alone() -> None:
    given = torch.rand(2, 3, 8, 8) * 4 + 1
    before = given.clone()
    shares = to_unit(given, PixelFormat("float32", 1.0, 5.0, "linear"))
    assert torch.equal(given, before) and torch.equal(shares, (given - 1.0) / 4.0)
    assert to_unit(given, FLOAT).data_ptr() != given.data_ptr()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_8_bits_become_the_shares_that_ultralytics_divides_them_into(layout: torch.memory_format) -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(2, 3, 4, 1).contiguous(memory_format=layout)
    shares = to_unit(images, EIGHT_BITS)
    assert torch.equal(shares, images.float() / 255)
    assert shares.is_contiguous(memory_format=layout)


@pytest.mark.parametrize(("kind", "pixels"), [("uint16", LINEAR), ("float32", FLOAT)])
def test_an_image_is_resized_in_its_own_type(kind: str, pixels: PixelFormat, tmp_path: Path) -> None:
    images = folder_of(tmp_path, kind)
    same, original, now = made(images, pixels).load_image(0)
    assert same.dtype == kind and np.array_equal(same, values(kind)[..., ::-1]) and original == now == (40, 64)
    half, original, now = made(images, pixels, imgsz=32).load_image(0)
    assert half.dtype == kind and (original, now) == ((40, 64), (20, 32))
    mean = values(kind)[..., ::-1].astype(np.float64).reshape(20, 2, 32, 2, 3).mean(axis=(1, 3))
    assert half == pytest.approx(mean, abs=0.51 if kind == "uint16" else 1e-6)


def test_ultralytics_own_dataset_would_keep_a_byte_only(tmp_path: Path) -> None:
    """What all of this is for."""
    from ultralytics.data.dataset import YOLODataset

    images = folder_of(tmp_path)
    plain = YOLODataset(
        img_path=str(images), data={"names": {0: "x"}, "nc": 1, "channels": 3}, task="detect", imgsz=64, augment=False
    )
    assert np.array_equal(plain.load_image(0)[0], values()[..., ::-1] >> 8)


@pytest.mark.parametrize(("kind", "pixels"), [("uint16", LINEAR), ("float32", FLOAT)])
def test_a_cache_in_memory_keeps_the_type(kind: str, pixels: PixelFormat, tmp_path: Path) -> None:
    images = folder_of(tmp_path, kind)
    dataset = made(images, pixels, cache="ram")
    for path in images.glob("*.tif"):
        path.unlink()
    for index in range(3):
        image = dataset.load_image(index)[0]
        assert image.dtype == kind and np.array_equal(image, values(kind, seed=index)[..., ::-1])


@pytest.mark.parametrize(("kind", "pixels"), [("uint16", LINEAR), ("float32", FLOAT)])
def test_a_cache_on_disk_keeps_the_type_under_a_name_that_ultralytics_never_takes(
    kind: str, pixels: PixelFormat, tmp_path: Path
) -> None:
    images = folder_of(tmp_path, kind)
    made(images, pixels, cache="disk")
    assert sorted(path.name for path in images.glob("*.npy")) == [
        "0.tif.exact.npy",
        "1.tif.exact.npy",
        "2.tif.exact.npy",
    ]
    kept = np.load(images / "1.tif.exact.npy")
    assert kept.dtype == kind and np.array_equal(kept, values(kind, seed=1)[..., ::-1])
    changed = (kept // 2).astype(kind)
    np.save(images / "1.tif.exact.npy", changed)
    as_old_as(images / "1.tif.exact.npy", images / "1.tif")
    assert np.array_equal(made(images, pixels, cache="disk").load_image(1)[0], changed), "it is what is read"
    assert np.array_equal(made(images, pixels).load_image(1)[0], kept), "and only where it was asked for"


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", None])
def test_a_torn_cache_file_is_replaced_by_the_image(damage: bytes | None, tmp_path: Path) -> None:
    images = folder_of(tmp_path)
    dataset = made(images, cache="disk")
    cached = images / "1.tif.exact.npy"
    cached.write_bytes(cached.read_bytes()[:500] if damage is None else damage)
    as_old_as(cached, images / "1.tif")
    assert np.array_equal(dataset.load_image(1)[0], values(seed=1)[..., ::-1])
    made(images, cache="disk")
    assert np.array_equal(np.load(cached), values(seed=1)[..., ::-1]), "and made again the next time"


@pytest.mark.parametrize("seconds", [10, -86400])
def test_a_cache_file_of_a_changed_image_is_made_again(seconds: int, tmp_path: Path) -> None:
    """An image copied into place with its old time is another image, too."""
    images = folder_of(tmp_path)
    dataset = made(images, cache="disk")
    tifffile.imwrite(images / "1.tif", values(seed=9))
    other = (images / "1.tif.exact.npy").stat().st_mtime + seconds
    os.utime(images / "1.tif", (other, other))
    assert np.array_equal(dataset.load_image(1)[0], values(seed=9)[..., ::-1]), "and is not read until it is"
    assert np.array_equal(made(images, cache="disk").load_image(1)[0], values(seed=9)[..., ::-1])


def test_two_images_of_one_stem_have_a_cache_each(tmp_path: Path) -> None:
    images = folder_of(tmp_path)
    cv2.imwrite(str(images / "1.png"), values(seed=7)[..., ::-1])
    (images / "1.png").with_suffix(".txt").touch()
    dataset = made(images, cache="disk")
    for file, pixels in zip(dataset.im_files, (dataset.load_image(i)[0] for i in range(4)), strict=True):
        assert np.array_equal(pixels, read_exact(Path(file), LINEAR))


def test_a_folder_without_room_or_rights_is_trained_on_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = folder_of(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    dataset = made(images, cache="disk")
    assert dataset.cache is None and not list(images.glob("*.npy"))
    assert np.array_equal(dataset.load_image(1)[0], values(seed=1)[..., ::-1])


def test_labels_cached_for_one_format_are_not_those_of_another(tmp_path: Path) -> None:
    images = folder_of(tmp_path, "float32")
    made(images, FLOAT)
    with pytest.raises(InputError, match=r"outside the range 0 to 0\.25"):
        made(images, PixelFormat("float32", 0.0, 0.25, "linear"))
    made(images, FLOAT)


def test_labels_are_those_that_ultralytics_reads(tmp_path: Path) -> None:
    images = folder_of(tmp_path)
    (images.parent / "labels" / "0.txt").write_text("0 0.6 0.5 0.2 0.2\n0 0.3 0.5 0.25 0.25\n0 0.3 0.5 0.25 0.25\n")
    (images.parent / "labels" / "1.txt").unlink()
    ours = made(images).labels
    from ultralytics.data.dataset import YOLODataset

    plain = YOLODataset(
        img_path=str(images), data={"names": {0: "x"}, "nc": 1, "channels": 3}, task="detect", imgsz=64, augment=False
    ).labels
    assert [len(label["cls"]) for label in ours] == [2, 0, 1]
    for one, other in zip(ours, plain, strict=True):
        assert one.keys() == other.keys() and one["shape"] == other["shape"]
        assert np.array_equal(one["bboxes"], other["bboxes"]) and np.array_equal(one["cls"], other["cls"])
