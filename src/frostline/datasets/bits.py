"""How many bits the images of a dataset have, from their headers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frostline.errors import InputError

_PNG = b"\x89PNG\r\n\x1a\n"


def image_bits(path: Path) -> int:
    """Return the bits of a sample of a TIFF or PNG image; 8 for any other format, which has no more.

    Args:
        path: an image. Only its header is read.

    Raises:
        InputError: a TIFF whose header cannot be read.
    """
    if path.suffix.lower() in {".tif", ".tiff"}:
        import tifffile

        try:
            with tifffile.TiffFile(path) as tiff:
                return int(tiff.pages[0].dtype.itemsize) * 8
        except (OSError, ValueError, IndexError, AttributeError) as error:  # TiffFileError is a ValueError
            raise InputError(
                f"{path}: cannot be read as TIFF; restore the file or take it out of the dataset"
            ) from error
    try:
        with path.open("rb") as stream:
            header = stream.read(25)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); restore the file or take it out of the dataset"
        ) from error
    return max(header[24], 8) if header.startswith(_PNG) and len(header) == 25 else 8


def check_bits(images: Sequence[Path], most: int = 50) -> None:
    """Refuse images of more than 8 bits: Ultralytics would keep their high byte and drop the rest without a word.

    Args:
        images: of a dataset.
        most: images looked at, evenly spaced.

    Raises:
        InputError: one has more than 8 bits, or cannot be read.
    """
    for path in images:
        if not path.exists():  # a link whose target is gone is listed all the same
            raise InputError(f"{path}: its target is gone; restore the file or take it out of the dataset")
    for path in images[:: max(len(images) // most, 1)]:
        bits = image_bits(path)
        if bits > 8:
            raise InputError(
                f"{path}: {bits} bits a sample, of which training would keep 8 in this version; make an 8-bit dataset, "
                "such as by frostline chroma convert SRC DST --isd ... --encode log --bits 8"
            )
