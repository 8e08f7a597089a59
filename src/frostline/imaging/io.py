"""Image files to linear RGB and back. One is read whole or refused in one line, and written whole or not at all."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from frostline.errors import InputError
from frostline.files import written_beside
from frostline.imaging.srgb import srgb_to_linear

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""The files that `read_linear` takes, in lower case."""

Transfer = Literal["auto", "linear", "srgb"]


def read_linear(path: Path, transfer: Transfer = "auto") -> NDArray[np.uint16]:
    """Read a TIFF, PNG or JPEG file as linear RGB.

    Args:
        path: the file; its kind is told by its suffix.
        transfer: how its values are encoded. `auto`: 8 bits are sRGB and are linearised, 16 bits are linear already.
            `linear` and `srgb` say so for both. An embedded colour profile is not applied.

    Returns:
        (H, W, 3) uint16 in [0, 65535], in the order red, green, blue; upright if the file says how it was held.

    Raises:
        InputError: if the file is missing, unreadable or truncated, not 8 or 16-bit, or not of three channels.
    """
    return linearise(read_rgb(path), transfer)


def linearise(pixels: NDArray[Any], transfer: Transfer = "auto") -> NDArray[np.uint16]:
    """Turn stored RGB values into linear 16-bit code values; see `read_linear`."""
    if transfer not in ("auto", "linear", "srgb"):
        raise InputError(f"unknown transfer '{transfer}'; expected auto, linear or srgb")
    if is_srgb(pixels, transfer):
        return srgb_to_linear(pixels)
    return pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * np.uint16(257)


def is_srgb(pixels: NDArray[Any], transfer: Transfer = "auto") -> bool:
    """Say whether `read_linear` takes these stored values as sRGB."""
    return transfer == "srgb" or (transfer == "auto" and pixels.dtype == np.uint8)


def read_rgb(path: Path) -> NDArray[Any]:
    """Read the stored values of a TIFF, PNG or JPEG file, without linearising them.

    Returns:
        (H, W, 3) uint8 or uint16, in the order red, green, blue.

    Raises:
        InputError: as `read_linear`.
    """
    readers = {".tif": _read_tiff, ".tiff": _read_tiff, ".png": _read_png, ".jpg": _read_jpeg, ".jpeg": _read_jpeg}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: not an image that is read here; expected {', '.join(IMAGE_SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty")
    try:
        pixels = reader(path)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: too large for this machine's memory") from None
    except Exception as error:  # the codecs raise a type of their own each
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read, truncated or corrupt ({reason})") from None
    return _three_channels(path, pixels)


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
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"{path}: a 16-bit RGB TIFF needs (H, W, 3) uint16, not {image.shape} {image.dtype}")
    description = json.dumps(dict(metadata)) if metadata is not None else None
    with written_beside(path) as beside:
        tifffile.imwrite(
            beside,
            np.ascontiguousarray(image),
            photometric="rgb",
            metadata=None,
            description=description,
            software="frostline",
        )


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
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", stored)
    if not done:
        raise InputError(f"{path}: this image cannot be stored as PNG")
    with written_beside(path) as beside:
        beside.write_bytes(data.tobytes())


def _read_tiff(path: Path) -> NDArray[Any]:
    with _quiet_tifffile(), tifffile.TiffFile(path) as file:
        page = file.pages[0]
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            raise InputError(f"{path}: a palette image; expected RGB with three channels")
        pixels = page.asarray()
        if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
    return np.asarray(pixels)


def _read_png(path: Path) -> NDArray[Any]:
    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _read_jpeg(path: Path) -> NDArray[Any]:
    # Pillow, as libjpeg-turbo and some OpenCV versions fill a truncated file with grey and say nothing.
    with Image.open(io.BytesIO(path.read_bytes()), formats=("JPEG",)) as image:
        return np.asarray(ImageOps.exif_transpose(image))


def _three_channels(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels != 3:
        found = {1: "a single channel", 4: "four channels (alpha or CMYK)"}.get(channels, f"{channels} channels")
        raise InputError(f"{path}: the image has {found}; expected RGB with three")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: pixels of type {pixels.dtype}; expected 8 or 16-bit unsigned integers")
    return pixels


@contextmanager
def _quiet_tifffile() -> Iterator[None]:
    """Keep tifffile from logging a page about a broken file that is reported in one line."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
