"""Any image file as it is stored: every channel, every bit. For looking at images, not for training on them."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError


def read_stored(path: Path) -> NDArray[Any]:
    """Decode an image whole; a truncated one is refused, not filled up with grey.

    Args:
        path: PNG, JPEG, TIFF, BMP or WebP, known by its suffix.

    Returns:
        (H, W, C) with C at least 1, in the order red, green, blue; the type is the file's.

    Raises:
        InputError: the file is missing, empty, truncated or of another kind.
    """
    suffix = path.suffix.lower()
    readers = {".png": _png, ".tif": _tiff, ".tiff": _tiff}
    try:
        if not path.stat().st_size:
            raise InputError(f"{path}: the file is empty")
        pixels = readers[suffix](path) if suffix in readers else _pillow(path)
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
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not pixels.size or pixels.dtype.kind not in "uif":
        raise InputError(f"{path}: holds {pixels.shape} values of type {pixels.dtype}; expected a picture")
    return pixels


def full_scale(pixels: NDArray[Any]) -> float:
    """Return the largest value that this type stores; 1 for floats, or their maximum where it is larger."""
    if pixels.dtype.kind == "f":
        return max(1.0, float(np.nanmax(pixels, initial=0.0)))
    return float(np.iinfo(pixels.dtype).max)


def _png(path: Path) -> NDArray[Any]:
    import imagecodecs

    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _tiff(path: Path) -> NDArray[Any]:
    import tifffile

    logging.getLogger("tifffile").disabled = True  # a page of log about a file that is reported in one line
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        pixels = np.asarray(page.asarray())
        if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
    return pixels


def _pillow(path: Path) -> NDArray[Any]:
    from PIL import ImageOps
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    readers = {".bmp": BmpImageFile, ".webp": WebPImageFile, ".jpg": JpegImageFile, ".jpeg": JpegImageFile}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: this kind of image is not read here; convert it to PNG, TIFF or JPEG")
    with reader(io.BytesIO(path.read_bytes())) as image:
        upright = ImageOps.exif_transpose(image)
        return np.asarray(upright.convert("RGB") if upright.mode in {"P", "CMYK", "YCbCr"} else upright)
