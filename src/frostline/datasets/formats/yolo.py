"""YOLO labels: a data.yaml, or images and labels with the class names in a text file."""

from __future__ import annotations

import os
from pathlib import Path

from frostline.datasets.dataset import IMAGE_SUFFIXES, label_path, load_dataset, load_names
from frostline.datasets.formats.found import Found, Item, Record, image_name
from frostline.datasets.formats.sizes import image_size
from frostline.datasets.layout import CLASSES_FILE
from frostline.datasets.rows import read_rows
from frostline.errors import InputError
from frostline.files import read_lines

NAME_FILES = (CLASSES_FILE, "obj.names", "data.yaml")
"""Where class names are looked for, in this order; obj.names is Darknet's."""


def read_yolo(src: Path) -> Found:
    """Read a YOLO dataset; the splits of a data.yaml are put together.

    Args:
        src: a data.yaml, or a folder with one, or with a classes.txt (one name a line) and images and labels below it.

    Raises:
        InputError: there are no images or class names, or a label is malformed.
    """
    file = src / "data.yaml" if (src / "data.yaml").is_file() else src
    if file.is_file():
        dataset = load_dataset(file)
        names, images = list(dataset.names.values()), [path for split in dataset.splits.values() for path in split]
    else:
        names = class_names([src, src / "labels"])
        images = sorted(p for p in src.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    if not images:
        raise InputError(f"{src}: there are no images in it; give the folder above images/ and labels/")
    images = list(dict.fromkeys(images))
    root = Path(os.path.commonpath([path.parent for path in images]))
    found = Found({}, names)
    for image in images:
        label = label_path(image.absolute())
        if not label.is_file():
            found.problems.append(f"{image}: has no label {label}, left out")
            continue
        try:
            size = image_size(image)
        except InputError as error:
            found.problems.append(str(error))
            continue
        rows, wrong = read_rows(label, len(names))
        if wrong:
            raise InputError(f"{label}, line {wrong[0][0]}: {wrong[0][1]}; correct the line")
        found.add(image_name(image, root), Record(image, [Item(names[r.index], r.box(size)) for r in rows], label))
    if not found.records:
        raise InputError(f"{src}: no image has a label, the first: {found.problems[0]}")
    return found


def class_names(folders: list[Path]) -> list[str]:
    """Read class names from the first classes.txt, obj.names or data.yaml in these folders.

    Raises:
        InputError: there is none, or it is empty or names a class twice.
    """
    places = [folder / name for folder in folders for name in NAME_FILES]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        looked = ", ".join(str(folder) for folder in dict.fromkeys(folders))
        raise InputError(
            f"no class names: there is no {CLASSES_FILE} or data.yaml in {looked}; write one, with a class a line, "
            "or give --classes"
        )
    if file.suffix == ".yaml":
        return list(load_names(file).values())
    try:
        names = [line.strip() for line in read_lines(file) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as UTF-8 text; write one class name a line") from error
    if not names or len(set(names)) != len(names):
        raise InputError(f"{file}: must name at least one class, and each only once")
    return names
