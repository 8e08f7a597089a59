"""What the first and last bytes of an image tell: whether the file is whole, and how its values are stored."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.errors import InputError
from frostline.imaging.stored import check_pixels, png_size

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PNG_END, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
_JP2 = b"\x00\x00\x00\x0cjP  "
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_SUFFIXES = (".tif", ".tiff")
_HEAD = 512
"""Bytes at the start; the header box of a JPEG 2000 file stands in them."""
_TAIL = 4096
"""Bytes at the end in which the end mark must stand; some writers put padding behind it."""

_OPENCV_COMPRESSIONS = frozenset((1, 2, 3, 4, 5, 7, 8, 32773, 32946))
"""None, CCITT, LZW, JPEG, deflate and PackBits, by their TIFF numbers; OpenCV reads a zstd file as nothing."""

_REPAIR = "restore the file or take it out of the dataset"


@dataclass(frozen=True)
class StoredAs:
    """How an image file holds its pixels.

    Attributes:
        kind: `uint8`, `uint16` or `float32`.
        by_opencv: whether OpenCV, and with it Ultralytics, decodes the file without loss.
    """

    kind: str
    by_opencv: bool = True


def stored_as(path: Path) -> StoredAs:
    """Tell how an image is stored, after making sure that the file is whole, without decoding it.

    A PNG must hold its IEND chunk (PNG specification, section 5.6) and a JPEG its end-of-image marker (ITU-T T.81,
    B.1.1.3) near the end; every strip or tile of a TIFF must lie within the file. Other formats are only looked at
    for being empty, and counted as 8 bits.

    Args:
        path: an image.

    Raises:
        InputError: it is gone, empty, cut off, cannot be read, or holds values of another type.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(_HEAD)
            stream.seek(max(os.fstat(stream.fileno()).st_size - _TAIL, 0))
            tail = stream.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REPAIR}") from error
    if not header:
        raise InputError(f"{path}: the image is empty; {_REPAIR}")
    if path.suffix.lower() in _TIFF_SUFFIXES or header.startswith(_TIFFS):
        return _named_so(path, _tiff(path), _TIFF_SUFFIXES, "TIFF")
    if header.startswith(_JP2):
        at = header.find(b"ihdr")
        if 0 <= at < len(header) - 12:
            check_pixels(path, *struct.unpack(">II", header[at + 4 : at + 12]))
        if _jp2_bits(header) > 8:
            raise InputError(f"{path}: a JPEG 2000 file of more than 8 bits is not read here; save it as TIFF or PNG")
        return StoredAs("uint8")
    if header.startswith(_PNG):
        if _PNG_END not in tail or len(header) < 25:
            raise InputError(f"{path}: the image is cut off; {_REPAIR}")
        check_pixels(path, *png_size(header))
        stored = StoredAs("uint16", by_opencv=False) if header[24] == 16 else StoredAs("uint8")
        return _named_so(path, stored, (".png",), "PNG")
    if header.startswith(_JPEG) and _JPEG_END not in tail:
        raise InputError(f"{path}: the image is cut off; {_REPAIR}")
    _check_size(path, header)
    return StoredAs("uint8")


def _check_size(path: Path, header: bytes) -> None:
    """Refuse a JPEG, BMP or WebP file by its size, as far as its header can be read."""
    width = height = 0
    if header.startswith(_JPEG):
        width, height = _jpeg_size(path)
    elif header.startswith(b"BM") and len(header) > 26:
        width, height = (abs(side) for side in struct.unpack("<ii", header[18:26]))
    elif header[8:16] == b"WEBPVP8X":  # other WebP files are at most 16,384 x 16,384
        width, height = (1 + int.from_bytes(header[at : at + 3], "little") for at in (24, 27))
    check_pixels(path, width, height)


def _jpeg_size(path: Path) -> tuple[int, int]:
    """Read width and height from the frame header (ITU-T T.81, B.2.2), past whatever stands before it."""
    with path.open("rb") as stream:
        stream.seek(2)
        while True:
            marker = stream.read(4)
            while marker[:2] == b"\xff\xff":  # fill bytes
                marker = marker[1:] + stream.read(1)
            if len(marker) < 4 or marker[0] != 0xFF or marker[1] == 0xDA:
                return 0, 0
            if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
                frame = stream.read(5)
                return int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
            stream.seek(max(int.from_bytes(marker[2:4], "big") - 2, 0), os.SEEK_CUR)


def _named_so(path: Path, stored: StoredAs, suffixes: Sequence[str], what: str) -> StoredAs:
    """Refuse a file whose name hides what it is, where a reader that goes by the name would lose bits."""
    if not stored.by_opencv and path.suffix.lower() not in suffixes:
        raise InputError(
            f"{path}: is a {what} of {stored.kind} values under another suffix; rename it to {suffixes[0]}"
        )
    return stored


def _jp2_bits(start: bytes) -> int:
    """Read the bits of a component from the image header box (ISO/IEC 15444-1, I.5.3.1); 8 where it is not found."""
    at = start.find(b"ihdr")
    return (start[at + 14] & 0x7F) + 1 if 0 <= at < len(start) - 14 else 8


def _tiff(path: Path) -> StoredAs:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True))
            check_pixels(path, page.imagewidth, page.imagelength)
            if max(ends, default=0) > tiff.filehandle.size:
                raise InputError(f"{path}: the image is cut off; {_REPAIR}")
            kind, compression = str(page.dtype), int(page.compression)
    except InputError:
        raise
    except Exception as error:  # TiffFileError, and whatever a damaged tag leads tifffile into
        raise InputError(f"{path}: cannot be read as TIFF; {_REPAIR}") from error
    if kind == "bool":
        return StoredAs("uint8")
    if kind not in ("uint8", "uint16", "float32"):
        raise InputError(f"{path}: holds {kind} values; save the image as uint8, uint16 or float32")
    return StoredAs(kind, by_opencv=kind == "uint8" and compression in _OPENCV_COMPRESSIONS)


def check_images(images: Sequence[Path]) -> frozenset[StoredAs]:
    """Refuse images that training would drop, or read in part, without a word.

    Ultralytics leaves an unreadable image out and fills the missing part of a truncated one with grey.

    Args:
        images: of a dataset; the first and last bytes of each are read.

    Returns:
        Every way in which they are stored.

    Raises:
        InputError: one is not whole, or not of the type of the others.
    """
    first: dict[StoredAs, Path] = {}
    for path in images:
        first.setdefault(stored_as(path), path)
    kinds = {stored.kind: path for stored, path in reversed(first.items())}
    if len(kinds) > 1:
        (one, here), (other, there) = sorted(kinds.items())[:2]
        raise InputError(
            f"{here}: holds {one} values, but {there} {other} ones; a dataset must be of one type, convert one of them"
        )
    return frozenset(first)


def pictures_replaced(images: Sequence[Path]) -> list[Path]:
    """Return the images beside which a `<stem>.npy` lies: Ultralytics reads that file in their place.

    Args:
        images: of a dataset.
    """
    arrays = {array for folder in {path.parent for path in images} for array in folder.glob("*.npy")}
    return [path for path in images if path.with_suffix(".npy") in arrays] if arrays else []
