"""Any image file as it is stored: every channel, every bit. Read whole or refused in one line."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from frostline.errors import InputError

MOST_PIXELS = 2**28
"""Of an image that is decoded: 16,384 x 16,384. A file of a few kilobytes may claim any number."""


def check_pixels(path: Path, width: int, height: int) -> None:
    """Refuse an image by the size that its header claims, before room is made for it.

    Raises:
        InputError: it has more than `MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{path}: says that it has {width:,} x {height:,} pixels, more than the {MOST_PIXELS:,} that are decoded;"
            " cut it into tiles"
        )


def png_size(start: bytes) -> tuple[int, int]:
    """Read width and height from the IHDR chunk (PNG specification, section 11.2.2); zeros where there is none."""
    if len(start) < 24 or start[12:16] != b"IHDR":
        return 0, 0
    return int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")


def read_stored(path: Path, to_rgb: bool = False) -> NDArray[Any]:
    """Decode an image whole; a truncated one is refused, not filled up with grey.

    Args:
        path: PNG, JPEG, TIFF, BMP or WebP, known by its suffix; a photograph is turned upright if it says how.
        to_rgb: turn the inks of a CMYK file into RGB, and take the numbers of a TIFF's palette as they are. For looking
            at images: neither is the light that a camera saw.

    Returns:
        (H, W, C) with C at least 1, in the order red, green, blue; the type is the file's.

    Raises:
        InputError: the file is missing, empty, truncated or of another kind.
    """
    try:
        if not path.stat().st_size:
            raise InputError(f"{path}: the file is empty")
        pixels = _decode(path, to_rgb)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except MemoryError:
        raise InputError(f"{path}: too large for this machine's memory") from None
    except Exception as error:  # the codecs raise a type of their own each
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read, truncated or corrupt ({reason})") from None
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or not pixels.size or pixels.dtype.kind not in "uif":
        raise InputError(f"{path}: holds {pixels.shape} values of type {pixels.dtype}; expected a picture")
    return pixels


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """Keep tifffile from logging a page about a broken file that is reported in one line."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _decode(path: Path, to_rgb: bool) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        return _tiff(path, to_rgb)
    if suffix == ".png":
        data = path.read_bytes()
        check_pixels(path, *png_size(data[:24]))
        return np.asarray(imagecodecs.png_decode(data))
    return _pillow(path, to_rgb)


def _tiff(path: Path, to_rgb: bool) -> NDArray[Any]:
    with quiet_tifffile(), tifffile.TiffFile(path) as file:
        page = file.pages[0]
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not to_rgb:
            raise InputError(f"{path}: a palette image; expected RGB with three channels")
        check_pixels(path, page.imagewidth * page.imagedepth, page.imagelength * max(page.samplesperpixel // 4, 1))
        pixels = np.asarray(page.asarray())
        if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
    return pixels


def _pillow(path: Path, to_rgb: bool) -> NDArray[Any]:
    # Pillow, as libjpeg-turbo and some OpenCV versions fill a truncated file with grey and say nothing. Not by
    # Image.open: once Ultralytics is imported, that one installs a package when it meets a file it does not know.
    from PIL import ImageOps
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    readers = {".bmp": BmpImageFile, ".webp": WebPImageFile, ".jpg": JpegImageFile, ".jpeg": JpegImageFile}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: this kind of image is not read here; convert it to PNG, TIFF or JPEG")
    with reader(io.BytesIO(path.read_bytes())) as image:
        check_pixels(path, *image.size)
        upright = ImageOps.exif_transpose(image)
        inks = upright.mode == "P" or (to_rgb and upright.mode in {"CMYK", "YCbCr"})
        return np.asarray(upright.convert("RGB") if inks else upright)
