"""Headerless Bayer files (`.raw`): geometry, unpacking of 10 to 24 bits, demosaicing by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError, did_you_mean

BITS = (10, 12, 14, 16, 24)
Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
ByteOrder = Literal["little", "big", "mipi"]

# OpenCV names a pattern by the 2 x 2 pixels that start at the second row and column.
_OPENCV = {
    "RGGB": "COLOR_BayerBG2RGB",
    "BGGR": "COLOR_BayerRG2RGB",
    "GRBG": "COLOR_BayerGB2RGB",
    "GBRG": "COLOR_BayerGR2RGB",
}


@dataclass(frozen=True)
class BayerGeometry:
    """How a headerless file is laid out.

    Attributes:
        width: pixels a row, even.
        height: rows, even.
        bits: 10, 12, 14, 16 or 24 a pixel.
        byte_order: `little` or `big` for whole bytes (16 and 24 bits, and 10 to 14 bits kept in two bytes each) and for
            the order of bits in a packed stream; `mipi` for MIPI CSI-2 packing of 10, 12 and 14 bits.
        pattern: colours of the first two pixels of the first two rows.

    Raises:
        InputError: for a value out of range.
    """

    width: int
    height: int
    bits: int = 16
    byte_order: ByteOrder = "little"
    pattern: Pattern = "RGGB"

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 4 or self.width % 2 or self.height % 2:
            raise InputError(f"a Bayer image of {self.width} x {self.height} pixels; expected even numbers from 4")
        if self.bits not in BITS:
            raise InputError(f"a Bayer pixel of {self.bits} bits; expected {', '.join(map(str, BITS))}")
        if self.pattern not in get_args(Pattern):
            raise InputError(f"unknown Bayer pattern '{self.pattern}'; expected {', '.join(get_args(Pattern))}")
        if self.byte_order not in get_args(ByteOrder) or (self.byte_order == "mipi" and self.bits >= 16):
            raise InputError(
                f"byte order '{self.byte_order}' with {self.bits} bits; expected little or big, or mipi with 10 to 14"
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, packed: a row starts at a whole byte."""
        return -(-self.width * self.bits // 8)


PRESETS: dict[str, BayerGeometry] = {"huawei-rod": BayerGeometry(2880, 1856, 24, "little", "RGGB")}
"""Geometries by name. `huawei-rod`: the RAW files of Huawei's RAW object detection data."""


def preset(name: str) -> BayerGeometry:
    """Return a geometry by its name.

    Raises:
        InputError: for an unknown name.
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset '{name}'{did_you_mean(name, PRESETS)}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def read_bayer(path: Path, geometry: BayerGeometry) -> NDArray[np.uint32]:
    """Read the mosaic of a headerless file.

    Args:
        path: the file; nothing but pixels, row by row.
        geometry: its layout. 10 to 14 bits may also stand in two bytes each, which the file's size tells.

    Returns:
        (H, W) uint32 in [0, 2**bits - 1].

    Raises:
        InputError: if the file is missing, or of a size that this geometry does not have; it says which would fit.
    """
    height, width = geometry.height, geometry.width
    try:
        size = path.stat().st_size
        if size not in {height * geometry.row_bytes, height * width * 2}:  # before room is made for it
            raise InputError(_wrong_size(path, size, geometry))
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if data.size == height * width * 2 and geometry.bits <= 16:
        words = data.view("<u2" if geometry.byte_order != "big" else ">u2").reshape(height, width).astype(np.uint32)
        if words.max() >= 2**geometry.bits:
            raise InputError(
                f"{path}: values up to {words.max()} do not fit {geometry.bits} bits; try another --bits or byte order"
            )
        return words
    if data.size != height * geometry.row_bytes:
        raise InputError(_wrong_size(path, data.size, geometry))
    rows = data.reshape(height, geometry.row_bytes)
    if geometry.bits == 24:
        low, middle, high = (rows[:, k::3].astype(np.uint32) for k in ((0, 1, 2), (2, 1, 0))[_is_big(geometry)])
        return np.asarray(low | middle << 8 | high << 16, dtype=np.uint32)
    return _unpack(rows, geometry)


def demosaic(mosaic: NDArray[np.uint32], pattern: Pattern, bits: int) -> NDArray[np.float32]:
    """Fill in the missing colours by OpenCV's bilinear interpolation, without rounding.

    OpenCV interpolates 16 bits in whole numbers. As it divides by at most 4, a mosaic of multiples of 4 is interpolated
    exactly; more than 14 bits go through it as two parts, which is right because the interpolation is linear.

    Args:
        mosaic: (H, W) in [0, 2**bits - 1].
        pattern: colours of the first two pixels of the first two rows.
        bits: at most 24.

    Returns:
        (H, W, 3) float32 red, green, blue in the same units, to a quarter of a unit.
    """
    import cv2

    code = getattr(cv2, _OPENCV[pattern])
    low = cv2.cvtColor(((mosaic & 0xFFF) * 4).astype(np.uint16), code).astype(np.float32)
    if bits > 12:
        high = cv2.cvtColor(((mosaic >> 12) * 4).astype(np.uint16), code).astype(np.float32)
        low += high * np.float32(4096)
    return np.asarray(low * np.float32(0.25), dtype=np.float32)


def _is_big(geometry: BayerGeometry) -> bool:
    return geometry.byte_order == "big"


def _unpack(rows: NDArray[np.uint8], geometry: BayerGeometry) -> NDArray[np.uint32]:
    """Take pixels of 10, 12 or 14 bits from rows of bytes."""
    height, width, bits = geometry.height, geometry.width, geometry.bits
    if geometry.byte_order != "mipi":
        return _from_bits(rows, height, width, bits, geometry.byte_order)
    group = 2 if bits == 12 else 4  # so many high bytes, then the low bits of as many pixels
    if width % group:
        raise InputError(f"MIPI packing of {bits} bits needs a width that {group} divides, not {width}")
    grouped = rows.reshape(height, width // group, group * bits // 8)
    high = grouped[..., :group].reshape(height, width).astype(np.uint32)
    low = _from_bits(grouped[..., group:].reshape(height, -1), height, width, bits - 8, "little")
    return np.asarray(high << (bits - 8) | low, dtype=np.uint32)


def _from_bits(
    rows: NDArray[np.uint8], height: int, width: int, bits: int, order: Literal["little", "big"]
) -> NDArray[np.uint32]:
    streams = np.unpackbits(rows, axis=1, bitorder=order)[:, : width * bits].reshape(height, width, bits)
    padded = np.zeros((height, width, 16), np.uint8)
    padded[..., slice(bits) if order == "little" else slice(16 - bits, None)] = streams
    words = np.packbits(padded, axis=2, bitorder=order).view("<u2" if order == "little" else ">u2")
    return words[..., 0].astype(np.uint32)


def _wrong_size(path: Path, size: int, geometry: BayerGeometry) -> str:
    """Say what was expected and which geometries would fit."""
    width, height = geometry.width, geometry.height
    needed = height * geometry.row_bytes
    known = [f"{g.width} x {g.height} at {g.bits} bits (--preset {n})" for n, g in PRESETS.items() if
             g != geometry and size == g.height * g.row_bytes]  # fmt: skip
    fits = []
    for bits in BITS:
        row = -(-width * bits // 8)
        if size and size % row == 0 and (size // row) % 2 == 0:
            fits.append((size // row != height, bits != geometry.bits, f"{width} x {size // row} at {bits} bits"))
    told = known + [text for _, _, text in sorted(fits)]
    would = f"it would fit {', or '.join(told[:4])}" if told else f"no even height fits a width of {width}"
    also = f" (or {height * width * 2:,} with two bytes a pixel)" if geometry.bits < 16 else ""
    return f"{path}: has {size:,} bytes; {width} x {height} at {geometry.bits} bits need {needed:,}{also}; {would}"
