"""What a folder of images or a dataset folder holds, and the same dataset's labels and data.yaml in another place."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from frostline.errors import InputError
from frostline.files import (
    MOST_YAML_BYTES,
    OBJECT_TABLE,
    leftovers,
    parse_yaml,
    read_bounded,
    write_text,
    written_beside,
)
from frostline.imaging.io import IMAGE_SUFFIXES

log = logging.getLogger(__name__)

PREVIEWS = "previews"
"""Where a conversion puts 8-bit pictures of its images."""

_SPLITS = ("train", "val", "test")


def find_images(root: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[Path]:
    """List the images of a folder, by their paths relative to it, sorted.

    In a dataset (a folder with images below folders named `images`) only those count, so that masks, previews and plots
    beside them do not. Hidden files and folders are passed over, and so are the previews of a conversion.

    Args:
        root: searched with its sub-folders.
        suffixes: of images, in lower case.

    Raises:
        InputError: if the folder is missing or holds none.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    found = [path for path in files_below(root) if path.suffix.lower() in suffixes]
    if (root / "chroma.json").is_file():
        found = [path for path in found if path.parts[0] != PREVIEWS]
    in_dataset = [path for path in found if "images" in path.parts[:-1]]
    images = in_dataset or found
    if not images:
        raise InputError(f"{root}: no images; expected files that end in {', '.join(sorted(suffixes))}")
    return sorted(images, key=lambda path: path.as_posix())


def label_of(image: Path) -> Path:
    """Give the label file of an image, both relative to the dataset: the last `images` of its path becomes `labels`.

    An image that lies in no `images` folder has its label beside it. This is how Ultralytics finds labels.
    """
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def copy_labels(source: Path, target: Path, images: Mapping[Path, Path]) -> int:
    """Copy the labels of images, given with the images' new paths, below `target`; return how many there were."""
    copied = 0
    for image, renamed in images.items():
        label = label_of(image)
        if (source / label).is_file():
            with written_beside(target / label_of(renamed)) as beside:
                shutil.copyfile(source / label, beside)
            copied += 1
    return copied


def copy_data_yaml(
    source: Path, target: Path, renamed: dict[str, str], pixels: Mapping[str, Any] | None = None
) -> bool:
    """Write the dataset's data.yaml below `target`, with every path relative to it, and say whether there was one.

    `path` is left out, as Ultralytics then takes the folder of data.yaml, and so is `download`, which Ultralytics would
    execute. A split given as a text file of image names is written too, with the images' new names. KITTI's table of
    occlusion goes along where the images keep their names.

    Args:
        source: the dataset folder.
        target: where the copy of it grows.
        renamed: for every image of the copy its path relative to either folder, old to new.
        pixels: what the copy's values are, as `datasets.pixel_format` reads it; empty for 8 bits, None for the
            same as the source's.

    Raises:
        InputError: if data.yaml is not a mapping, or a split of it lies outside the folder.
    """
    file = source / "data.yaml"
    if not file.is_file():
        return False
    try:
        content = parse_yaml(read_bounded(file, MOST_YAML_BYTES).decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a mapping with train, val and names")
    base = source / str(content.pop("path", None) or ".")
    content.pop("download", None)
    if pixels is not None:
        content.pop("pixels", None)
    if pixels:
        content["pixels"] = dict(pixels)
    for split in _SPLITS:
        if content.get(split):
            content[split] = _relative_split(file, base, content[split])
            _copy_lists(source, target, content[split], renamed)
    table = source / OBJECT_TABLE
    # Its rows name images without suffix: with other names they would be nobody's.
    if table.is_file() and all(Path(old).with_suffix("") == Path(new).with_suffix("") for old, new in renamed.items()):
        write_text(target / OBJECT_TABLE, table.read_text(encoding="utf-8"))
    write_text(target / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return True


def _relative_split(file: Path, base: Path, value: Any) -> Any:
    if isinstance(value, list):
        return [_relative_split(file, base, item) for item in value]
    source = file.parent
    # A dataset that was moved still names its old place in `path`; what lies below the folder counts then.
    for candidate in (base / str(value), source / str(value)):
        inside = Path(os.path.relpath(candidate.resolve(), source.resolve()))
        if candidate.exists() and ".." not in inside.parts and not inside.is_absolute():
            return inside.as_posix()
    raise InputError(f"{file}: '{value}' is not below {source}; move it there, or convert the folder that holds both")


def _copy_lists(source: Path, target: Path, split: Any, renamed: dict[str, str]) -> None:
    for name in split if isinstance(split, list) else [split]:
        if (source / name).is_file() and name.endswith(".txt"):
            folder = PurePosixPath(name).parent
            lines = (source / name).read_text(encoding="utf-8").split("\n")
            write_text(target / name, "\n".join(_renamed(source, folder, line.strip(), renamed) for line in lines))


def _renamed(source: Path, folder: PurePosixPath, line: str, renamed: dict[str, str]) -> str:
    """Give an image's line in a list its new name, relative to the list, which Ultralytics marks with `./`."""
    if not line:
        return ""
    old = os.path.relpath((source / folder / line).resolve(), source.resolve())
    new = renamed.get(Path(old).as_posix(), Path(old).as_posix())
    return "./" + Path(os.path.relpath(new, folder)).as_posix()


def remove_leftovers(places: Iterable[Path]) -> None:
    """Take away what a killed process left half-written in folders, as it may be large and is of no use."""
    for folder in set(places):
        for part in leftovers(folder):
            part.unlink(missing_ok=True)


def files_below(root: Path) -> list[Path]:
    """List the files of a folder at any depth, relative to it; hidden files and folders are passed over."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder).relative_to(root)
        found += [here / name for name in names if not name.startswith(".")]
    return found
