"""What the first and last bytes of an image tell: whether the file is whole, and how many bits it has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from frostline.errors import InputError

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PNG_END, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
_TAIL = 4096
"""Bytes at the end in which the end mark must stand; some writers put padding behind it."""

_REPAIR = "restore the file or take it out of the dataset"


def image_bits(path: Path) -> int:
    """Return the bits of a sample of an image, after making sure that the file is whole, without decoding it.

    A PNG must hold its IEND chunk (PNG specification, section 5.6) and a JPEG its end-of-image marker (ITU-T T.81,
    B.1.1.3) near the end; every strip or tile of a TIFF must lie within the file. Other formats are only looked at
    for being empty, and counted as 8 bits.

    Args:
        path: an image.

    Raises:
        InputError: it is gone, empty, cut off, or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(25)
            stream.seek(max(os.fstat(stream.fileno()).st_size - _TAIL, 0))
            tail = stream.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REPAIR}") from error
    if not header:
        raise InputError(f"{path}: the image is empty; {_REPAIR}")
    if path.suffix.lower() in {".tif", ".tiff"}:
        return _tiff_bits(path)
    if header.startswith(_PNG):
        if _PNG_END not in tail or len(header) < 25:
            raise InputError(f"{path}: the image is cut off; {_REPAIR}")
        return max(header[24], 8)
    if header.startswith(_JPEG) and _JPEG_END not in tail:
        raise InputError(f"{path}: the image is cut off; {_REPAIR}")
    return 8


def _tiff_bits(path: Path) -> int:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True))
            if max(ends, default=0) > tiff.filehandle.size:
                raise InputError(f"{path}: the image is cut off; {_REPAIR}")
            return int(page.dtype.itemsize) * 8
    except InputError:
        raise
    except (OSError, ValueError, IndexError, AttributeError) as error:  # TiffFileError is a ValueError
        raise InputError(f"{path}: cannot be read as TIFF; {_REPAIR}") from error


def check_images(images: Sequence[Path]) -> None:
    """Refuse images that training would drop, or read in part, without a word.

    Ultralytics leaves an unreadable image out, fills the missing part of a truncated one with grey, and keeps the high
    byte of a 16-bit one.

    Args:
        images: of a dataset; the first and last bytes of each are read.

    Raises:
        InputError: one is not whole, or has more than 8 bits.
    """
    for path in images:
        bits = image_bits(path)
        if bits > 8:
            raise InputError(
                f"{path}: {bits} bits a sample, of which training would keep 8 in this version; make an 8-bit dataset, "
                "such as by frostline chroma convert SRC DST --isd ... --encode log --bits 8"
            )


def pictures_replaced(images: Sequence[Path]) -> list[Path]:
    """Return the images beside which a `<stem>.npy` lies: Ultralytics reads that file in their place.

    Args:
        images: of a dataset.
    """
    arrays = {array for folder in {path.parent for path in images} for array in folder.glob("*.npy")}
    return [path for path in images if path.with_suffix(".npy") in arrays] if arrays else []
