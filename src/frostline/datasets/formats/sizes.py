"""The size of an image, from its header alone or after making sure that all of its pixels are there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from frostline.datasets.pixels import read_picture
from frostline.errors import InputError
from frostline.imaging.stored import MOST_PIXELS, check_pixels

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_TIFF_SUFFIXES = (".tif", ".tiff")
_PNG_END, _TAIL = b"IEND\xaeB`\x82", 4096


def image_size(image: Path) -> tuple[int, int]:
    """Return (width, height) in pixels from the file's header, without decoding it; a JPEG as it is shown upright.

    Raises:
        InputError: the header is not that of an image in one of five common formats.
    """
    return _size(image, whole=False)


def whole_image_size(image: Path) -> tuple[int, int]:
    """Return (width, height) of an image after decoding it, as a header says nothing of a file that was cut off.

    A JPEG is decoded to an eighth of its size and without colour: every byte is read and half of the work spared.

    Raises:
        InputError: the image is empty, truncated or of no common format.
    """
    return _size(image, whole=True)


def _size(image: Path, whole: bool) -> tuple[int, int]:
    # Not Image.open: once Ultralytics is imported, that one installs a package when it meets a file it does not know.
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    with suppress(OSError):
        if not image.stat().st_size:
            raise InputError(f"{image}: the file is empty; replace or remove it")
    if image.suffix.lower() in _TIFF_SUFFIXES and whole:
        height, width = read_picture(image).shape[:2]  # Pillow knows no float RGB
        return width, height
    for reader in (PngImageFile, JpegImageFile, TiffImageFile, BmpImageFile, WebPImageFile):
        with suppress(OSError, ValueError, SyntaxError), reader(str(image)) as opened:
            width, height = int(opened.size[0]), int(opened.size[1])
            # Every tool that drew boxes, and OpenCV in training, turns a JPEG by its EXIF orientation.
            turned = reader is JpegImageFile and opened.getexif().get(274, 1) in {5, 6, 7, 8}
            broken = _broken(image, opened) if whole and width * height <= MOST_PIXELS else ""
            break
    else:
        raise InputError(f"{image}: cannot be read as a PNG, JPEG, TIFF, BMP or WebP image; replace or remove it")
    if whole:
        check_pixels(image, width, height)
    if broken:
        raise InputError(f"{image}: truncated or corrupt ({broken}); replace or remove it")
    return (height, width) if turned else (width, height)


def _broken(image: Path, opened: ImageFile) -> str:
    """Decode an image that was opened and say what is wrong with it; nothing if all is well."""
    try:
        opened.draft("L", (1, 1))  # heard by JPEG alone
        opened.load()
        if opened.format == "PNG":  # which Pillow takes without its end, and training does not
            with image.open("rb") as stream:
                stream.seek(max(image.stat().st_size - _TAIL, 0))
                return "" if _PNG_END in stream.read() else "its end is missing"
    except Exception as error:  # the codecs raise a type of their own each
        return " ".join(str(error).split()) or type(error).__name__
    return ""
