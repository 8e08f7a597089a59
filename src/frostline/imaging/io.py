"""Image files to linear RGB and back. One is read whole or refused in one line, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.files import written_beside
from frostline.imaging.srgb import FULL_SCALE, srgb_to_linear
from frostline.imaging.stored import quiet_tifffile, read_stored

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""The files that `read_linear` takes, in lower case."""

Transfer = Literal["auto", "linear", "srgb"]
Compression = Literal["none", "lzw", "deflate", "zstd"]
COMPRESSIONS = ("none", "lzw", "deflate", "zstd")

_LEAST_FLOAT_PEAK = 256


def read_linear(path: Path, transfer: Transfer = "auto") -> NDArray[np.uint16]:
    """Read a TIFF, PNG or JPEG file as linear RGB.

    Args:
        path: the file; its kind is told by its suffix.
        transfer: how its values are encoded. `auto`: 8 bits are sRGB and are linearised, 16 bits are linear already.
            `linear` and `srgb` say so for both. An embedded colour profile is not applied.

    Returns:
        (H, W, 3) uint16 in [0, 65535], in the order red, green, blue; upright if the file says how it was held. Floats
        are rounded; `linearise(read_rgb(path))` keeps them.

    Raises:
        InputError: if the file is missing, unreadable or truncated, not 8-bit, 16-bit or float32, not of three
            channels, or holds floats that are negative, not finite or of no known scale.
    """
    pixels = linearise(read_rgb(path), transfer)
    return np.rint(pixels).astype(np.uint16) if pixels.dtype == np.float32 else pixels


def linearise(pixels: NDArray[Any], transfer: Transfer = "auto") -> NDArray[Any]:
    """Turn stored RGB values into linear 16-bit code values; see `read_linear`.

    Args:
        pixels: (H, W, 3) as `read_rgb` gives them.
        transfer: as `read_linear`; floats are linear unless it is `srgb`.

    Returns:
        (H, W, 3) uint16, or float32 in [0, 65535] if the pixels are float32.

    Raises:
        InputError: for an unknown transfer.
    """
    if transfer not in ("auto", "linear", "srgb"):
        raise InputError(f"unknown transfer '{transfer}'; expected auto, linear or srgb")
    if is_srgb(pixels, transfer):
        return srgb_to_linear(pixels / np.float32(FULL_SCALE) if pixels.dtype == np.float32 else pixels)
    return pixels.astype(np.uint16) * np.uint16(257) if pixels.dtype == np.uint8 else pixels


def is_srgb(pixels: NDArray[Any], transfer: Transfer = "auto") -> bool:
    """Say whether `read_linear` takes these stored values as sRGB."""
    return transfer == "srgb" or (transfer == "auto" and pixels.dtype == np.uint8)


def read_rgb(path: Path) -> NDArray[Any]:
    """Read the stored values of a TIFF, PNG or JPEG file, without linearising them.

    Returns:
        (H, W, 3) uint8, uint16, or float32 in [0, 65535], in the order red, green, blue. Floats of at most 1 were
        stored in shares of full scale and are multiplied by 65535.

    Raises:
        InputError: as `read_linear`.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: not an image that is read here; expected {', '.join(IMAGE_SUFFIXES)}")
    pixels = read_stored(path)
    channels = pixels.shape[2]
    if channels != 3:
        found = {1: "a single channel", 4: "four channels (alpha or CMYK)"}.get(channels, f"{channels} channels")
        raise InputError(f"{path}: the image has {found}; expected RGB with three")
    if pixels.dtype.kind == "f":
        return _code_values(path, pixels)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: pixels of type {pixels.dtype}; expected 8 or 16-bit unsigned integers, or float32")
    return pixels


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Read an 8-bit grey PNG or TIFF, such as a mask.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: if the file is missing, unreadable, not 8-bit or not of one channel.
    """
    pixels = read_stored(path)
    if pixels.shape[2] != 1 or pixels.dtype != np.uint8:
        raise InputError(f"{path}: a mask of shape {pixels.shape} {pixels.dtype}; expected one channel of 8 bits")
    return pixels[..., 0]


def write_tiff16(path: Path, image: NDArray[np.uint16], metadata: Mapping[str, Any] | None = None) -> None:
    """Write a 16-bit RGB TIFF, uncompressed, with `metadata` as JSON in its ImageDescription.

    Uncompressed, because every reader takes it and it is quickest; the same pixels and metadata give the same bytes.

    Args:
        path: where to; the folder is made if missing.
        image: (H, W, 3) uint16.
        metadata: anything that JSON holds.

    Raises:
        InputError: if the array is not of that form.
    """
    if image.dtype != np.uint16:
        raise InputError(f"{path}: a 16-bit RGB TIFF needs (H, W, 3) uint16, not {image.shape} {image.dtype}")
    write_tiff(path, image, metadata)


def write_tiff(
    path: Path,
    image: NDArray[Any],
    metadata: Mapping[str, Any] | None = None,
    compression: Compression = "none",
    tile_px: int | None = None,
) -> None:
    """Write an RGB TIFF with `metadata` as JSON in its ImageDescription.

    Args:
        path: where to; the folder is made if missing.
        image: (H, W, 3) uint8, uint16 or float32.
        metadata: anything that JSON holds.
        compression: `none`, `lzw`, `deflate` or `zstd`, all lossless; OpenCV reads no zstd.
        tile_px: side of square tiles, a multiple of 16; None for strips.

    Raises:
        InputError: if the array is not of that form, or for another compression or tile.
    """
    if image.dtype not in (np.uint8, np.uint16, np.float32) or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"{path}: an RGB TIFF needs (H, W, 3) uint8, uint16 or float32, not {image.shape} {image.dtype}"
        )
    if compression not in COMPRESSIONS:
        raise InputError(f"unknown compression '{compression}'; expected {', '.join(COMPRESSIONS)}")
    if tile_px is not None and (tile_px < 16 or tile_px % 16):
        raise InputError(f"a tile's side must be a multiple of 16 pixels, not {tile_px}")
    with written_beside(path) as beside, _short_writes_told():
        tifffile.imwrite(
            beside,
            np.ascontiguousarray(image),
            photometric="rgb",
            metadata=None,
            description=json.dumps(dict(metadata)) if metadata is not None else None,
            software="frostline",
            compression=None if compression == "none" else compression,
            tile=None if tile_px is None else (tile_px, tile_px),
        )


@contextmanager
def _short_writes_told() -> Iterator[None]:
    """Give its number to the error of NumPy that says only how much was written: there was no room for the rest."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def tiff_metadata(path: Path) -> dict[str, Any]:
    """Return what `write_tiff` put beside the pixels; empty for a file that is not such a TIFF."""
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as file:
            content = json.loads(file.pages[0].description)
    except Exception:  # not a TIFF, not JSON, or no file: whatever it is, it says nothing
        return {}
    return content if isinstance(content, dict) else {}


def write_png8(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an 8-bit PNG.

    Args:
        path: where to; the folder is made if missing.
        image: (H, W, 3) uint8 in the order red, green, blue, or (H, W) uint8 grey.

    Raises:
        InputError: if the array is not of that form, or cannot be encoded.
    """
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise InputError(f"{path}: an 8-bit PNG needs (H, W, 3) or (H, W) uint8, not {image.shape} {image.dtype}")
    import cv2  # here, so that workers that write TIFFs do without its 40 MB

    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", stored)
    if not done:
        raise InputError(f"{path}: this image cannot be stored as PNG")
    with written_beside(path) as beside:
        beside.write_bytes(data.tobytes())


def _code_values(path: Path, pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Check float pixels and bring them to [0, 65535]."""
    for bad, what in ((~np.isfinite(pixels), "NaN or infinite"), (pixels < 0, "negative")):
        count = int(np.count_nonzero(bad))
        if count:
            raise InputError(f"{path}: {count} of {pixels.size} float values are {what}; repair or clip them first")
    top = float(pixels.max(initial=0))
    if top <= 1:
        return np.asarray(pixels * np.float32(FULL_SCALE), dtype=np.float32)
    # Shares of full scale with highlights above 1 must not pass for code values: the image would be black.
    if top < _LEAST_FLOAT_PEAK or top > FULL_SCALE:
        raise InputError(
            f"{path}: float values up to {top:.6g}; expected shares of full scale (0 to 1) or 16-bit code values"
            f" (peak {_LEAST_FLOAT_PEAK} to {FULL_SCALE}); scale them first"
        )
    return np.asarray(pixels, dtype=np.float32)
