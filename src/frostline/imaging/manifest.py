"""chroma.json: how a folder of log-chromaticity images came to be, image by image, so that no work is done twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frostline.errors import InputError
from frostline.files import MOST_INDEX_BYTES, read_json, write_json

NAME = "chroma.json"
VERSION = 1


@dataclass(frozen=True)
class Source:
    """Where an image came from, and when that was last changed.

    Attributes:
        source: its path relative to the source folder, with forward slashes.
        size_bytes: the source's size.
        mtime_ns: the source's modification time in nanoseconds.
        isd: the unit direction that was taken out; of a map the normalised mean, and None before it is read.
        linearised: whether its values were sRGB and were linearised.
        saturated: pixels with a channel at full scale.
        isd_map: the map of directions that was taken out, with its path below the folder of maps as `file`, its
            `size_bytes` and its `mtime_ns`; None where one direction serves the whole image.
    """

    source: str
    size_bytes: int
    mtime_ns: int
    isd: tuple[float, float, float] | None
    linearised: bool = False
    saturated: int = 0
    isd_map: dict[str, Any] | None = None

    def same_input(self, other: Source) -> bool:
        """Say whether converting both would read the same files and take out the same direction."""
        same_file = (self.source, self.size_bytes, self.mtime_ns) == (other.source, other.size_bytes, other.mtime_ns)
        same_isd = self.isd_map is not None or self.isd == other.isd
        return same_file and same_isd and self.isd_map == other.isd_map

    def content(self) -> dict[str, Any]:
        """Give what chroma.json says of the image; no word of maps where there is none."""
        return {key: value for key, value in vars(self).items() if key != "isd_map" or value is not None}


@dataclass
class Manifest:
    """The content of chroma.json.

    Attributes:
        parameters: what all images share: anchor, encode, bits, transfer, and isd (the dataset's) or isd_maps.
        images: the source of every finished image, by its path relative to the folder of the manifest.
        source_folder: that the sources' paths start at, as seen from the folder of the manifest, so that both can be
            moved together; None in manifests that older versions wrote.
    """

    parameters: dict[str, Any]
    images: dict[str, Source] = field(default_factory=dict)
    source_folder: str | None = None

    def save(self, folder: Path) -> None:
        """Write chroma.json into a folder, whole or not at all, with the images in order."""
        images = {name: self.images[name].content() for name in sorted(self.images)}
        place = {} if self.source_folder is None else {"source_folder": self.source_folder}
        write_json(folder / NAME, {"version": VERSION, **place, **self.parameters, "images": images})


def load(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None if it has none.

    Raises:
        InputError: if it is there but is not one of this version.
    """
    file = folder / NAME
    if not file.is_file():
        return None
    try:
        content = read_json(file, MOST_INDEX_BYTES)
        if content.pop("version") != VERSION:
            raise ValueError
        source_folder = content.pop("source_folder", None)
        if not isinstance(source_folder, str | None):
            raise ValueError
        images = {name: _source(entry) for name, entry in content.pop("images").items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{file}: not a manifest of this version of Frostline; remove it or choose a new folder"
        ) from None
    return Manifest(content, images, source_folder)


def _source(entry: dict[str, Any]) -> Source:
    red, green, blue = entry.pop("isd")
    return Source(isd=(red, green, blue), **entry)
