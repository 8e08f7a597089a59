from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from frostline import InputError
from frostline.datasets.bits import check_bits, image_bits


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
    check_bits(paths)
    cv2.imwrite(str(paths[60]), np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(InputError, match=r"60.png: 16 bits a sample, of which training would keep 8"):
        check_bits(paths)


def test_a_link_whose_target_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"gone.png: its target is gone"):
        check_bits([tmp_path / "gone.png"])


def test_a_broken_tiff_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"no tiff")
    with pytest.raises(InputError, match=r"x.tif: cannot be read as TIFF"):
        check_bits([tmp_path / "x.tif"])
