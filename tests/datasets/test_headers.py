from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from frostline import InputError
from frostline.datasets.headers import check_images, image_bits, pictures_replaced


def test_bits_come_from_the_header(tmp_path: Path) -> None:
    for dtype, bits in ((np.uint8, 8), (np.uint16, 16), (np.float32, 32)):
        tifffile.imwrite(tmp_path / f"{bits}.tif", np.zeros((4, 4, 3), dtype))
        assert image_bits(tmp_path / f"{bits}.tif") == bits
    for dtype, bits in ((np.uint8, 8), (np.uint16, 16)):
        cv2.imwrite(str(tmp_path / f"{bits}.png"), np.zeros((4, 4, 3), dtype))
        assert image_bits(tmp_path / f"{bits}.png") == bits
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((4, 4, 3), np.uint8))
    assert image_bits(tmp_path / "a.jpg") == 8


def test_images_whose_low_byte_would_be_lost_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(120)]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    check_images(paths)
    cv2.imwrite(str(paths[60]), np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(InputError, match=r"60.png: 16 bits a sample, of which training would keep 8"):
        check_images(paths)


def test_a_link_whose_target_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"gone.png: cannot be read \(No such file or directory\)"):
        check_images([tmp_path / "gone.png"])


def test_a_broken_tiff_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"no tiff")
    with pytest.raises(InputError, match=r"x.tif: cannot be read as TIFF"):
        check_images([tmp_path / "x.tif"])


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_an_image_that_is_not_whole_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels) if suffix == "tif" else cv2.imwrite(str(path), pixels)
    check_images([path])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x\.\w+: the image is cut off|cannot be read as TIFF"):
        check_images([path])
    path.write_bytes(b"")
    with pytest.raises(InputError, match="the image is empty"):
        check_images([path])


def test_padding_behind_the_end_of_an_image_is_no_damage(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.jpg"), np.zeros((8, 8, 3), np.uint8))
    with (tmp_path / "x.jpg").open("ab") as stream:
        stream.write(b"\0" * 512)
    check_images([tmp_path / "x.jpg"])


def test_an_array_beside_an_image_is_found(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("a.png", "b.png")]
    assert pictures_replaced(images) == []
    np.save(tmp_path / "b.npy", np.zeros(3))
    np.save(tmp_path / "c.npy", np.zeros(3))
    assert pictures_replaced(images) == [tmp_path / "b.png"]
