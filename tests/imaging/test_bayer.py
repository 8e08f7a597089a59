from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frostline.errors import InputError
from frostline.imaging import PRESETS, BayerGeometry, demosaic, preset, read_bayer

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")


def packed(mosaic: np.ndarray, bits: int, order: str) -> bytes:
    """Pack pixel by pixel with Python's whole numbers, as the formats are described."""
    out = b""
    for row in mosaic.tolist():
        if order == "mipi":
            group = 2 if bits == 12 else 4
            for start in range(0, len(row), group):
                pixels = row[start : start + group]
                low = sum((p & (2 ** (bits - 8) - 1)) << (k * (bits - 8)) for k, p in enumerate(pixels))
                out += bytes(p >> (bits - 8) for p in pixels) + low.to_bytes(group * (bits - 8) // 8, "little")
        else:
            whole = -(-len(row) * bits // 8)
            if order == "little":
                out += sum(p << (k * bits) for k, p in enumerate(row)).to_bytes(whole, "little")
            else:
                number = sum(p << ((len(row) - 1 - k) * bits) for k, p in enumerate(row))
                out += (number << (whole * 8 - len(row) * bits)).to_bytes(whole, "big")
    return out


@pytest.mark.parametrize("order", ["little", "big", "mipi"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16, 24])
@pytest.mark.parametrize("width", [12, 18])
def test_every_packing_is_read_bit_for_bit(tmp_path: Path, bits: int, order: str, width: int):
    if order == "mipi" and (bits >= 16 or width == 18):
        pytest.skip("not a form that exists")
    mosaic = np.random.default_rng(bits).integers(0, 2**bits, (6, width))
    if bits == 24 or bits == 16:
        data = b"".join(int(value).to_bytes(bits // 8, order) for value in mosaic.ravel())
    else:
        data = packed(mosaic, bits, order)
    (tmp_path / "a.raw").write_bytes(data)
    assert np.array_equal(read_bayer(tmp_path / "a.raw", BayerGeometry(width, 6, bits, order)), mosaic)


def test_ten_bits_in_two_bytes_each_are_told_by_the_size(tmp_path: Path):
    mosaic = np.random.default_rng(0).integers(0, 1024, (6, 8)).astype("<u2")
    (tmp_path / "a.raw").write_bytes(mosaic.tobytes())
    assert np.array_equal(read_bayer(tmp_path / "a.raw", BayerGeometry(8, 6, 10)), mosaic)
    with pytest.raises(InputError, match="do not fit 10 bits"):
        read_bayer(tmp_path / "a.raw", BayerGeometry(8, 6, 10, "big"))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bits", [10, 12, 14, 16, 24])
def test_demosaicing_finds_each_colour_and_keeps_every_bit(pattern: str, bits: int):
    top = 2**bits - 1
    colours = {"R": top, "G": top // 3, "B": 5}
    mosaic = np.tile(
        np.array([[colours[c] for c in pattern[:2]], [colours[c] for c in pattern[2:]]], np.uint32), (4, 5)
    )
    rgb = demosaic(mosaic, pattern, bits)
    assert np.array_equal(rgb, np.broadcast_to(np.float32([colours[c] for c in "RGB"]), rgb.shape))


def test_demosaicing_is_bilinear_to_the_last_bit():
    mosaic = np.random.default_rng(1).integers(0, 2**24, (8, 10)).astype(np.uint32)
    rgb = demosaic(mosaic, "RGGB", 24)
    m = mosaic.astype(float)
    assert (
        rgb[4, 4].tolist()
        == np.float32(
            [m[4, 4], (m[3, 4] + m[5, 4] + m[4, 3] + m[4, 5]) / 4, (m[3, 3] + m[3, 5] + m[5, 3] + m[5, 5]) / 4]
        ).tolist()
    )
    assert rgb[4, 5].tolist() == np.float32([(m[4, 4] + m[4, 6]) / 2, m[4, 5], (m[3, 5] + m[5, 5]) / 2]).tolist()


def test_a_file_of_another_size_is_told_with_the_sizes_that_would_fit(tmp_path: Path):
    file = tmp_path / "a.raw"
    file.write_bytes(bytes(2880 * 1856 * 3))
    with pytest.raises(
        InputError, match=r"3,225,600.*it would fit 2880 x 1856 at 24 bits .--preset huawei-rod"
    ) as told:
        read_bayer(file, BayerGeometry(1920, 840, 16))
    assert str(told.value).startswith(f"{file}: has 16,035,840 bytes; 1920 x 840 at 16 bits need")
    file.write_bytes(bytes(16 * 12 * 2))
    with pytest.raises(InputError, match="it would fit 16 x 12 at 16 bits, or 16 x 8 at 24 bits"):
        read_bayer(file, BayerGeometry(16, 12, 24))
    file.write_bytes(bytes(17))
    with pytest.raises(InputError, match="no even height fits a width of 16"):
        read_bayer(file, BayerGeometry(16, 12, 12))
    with pytest.raises(InputError, match="cannot be read"):
        read_bayer(tmp_path / "none.raw", BayerGeometry(16, 12, 12))


def test_the_preset_is_the_one_that_is_documented():
    assert preset("huawei-rod") == PRESETS["huawei-rod"] == BayerGeometry(2880, 1856, 24, "little", "RGGB")
    with pytest.raises(InputError, match="did you mean 'huawei-rod'"):
        preset("huawei")


@pytest.mark.parametrize(
    "wrong",
    [{"width": 15}, {"height": 2}, {"bits": 11}, {"pattern": "RGBG"}, {"byte_order": "middle"}, {"byte_order": "mipi"}],
)
def test_a_geometry_that_cannot_be_one_is_refused(wrong: dict):
    with pytest.raises(InputError):
        BayerGeometry(**{"width": 16, "height": 12, **wrong})
