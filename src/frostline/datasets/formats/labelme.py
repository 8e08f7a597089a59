"""LabelMe: one JSON file an image, with rectangles and polygons in pixels."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path, PureWindowsPath
from typing import Any

from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.formats.found import Box, Found, Item, Record, image_name
from frostline.datasets.outside import ALLOW_ADVICE, leads_outside, outside_allowed
from frostline.errors import InputError
from frostline.files import TooLargeError, read_json

_POINTS = {"rectangle": 2, "polygon": 3}


def read_labelme(src: Path, keep_empty: bool = False) -> Found:
    """Read every LabelMe JSON file of a folder and its sub-folders.

    Rectangles and polygons become boxes; other shapes (points, lines, circles, masks) are left out and counted.

    Args:
        src: the folder, or one JSON file.
        keep_empty: take a file with an empty list of shapes as a picture without objects.

    Raises:
        InputError: there is no such file, or one is malformed.
    """
    files = [src] if src.is_file() else sorted(p for p in src.rglob("*.json") if not p.name.startswith("."))
    if not files:
        raise InputError(f"{src}: there are no .json files of LabelMe in it; give the folder that holds them")
    root = src.parent if src.is_file() else src
    found = Found({}, [])
    kinds: set[str] = set()
    for file in files:
        content = _content(file)
        shapes = content.get("shapes")
        if not isinstance(shapes, list) or (not shapes and not keep_empty):
            what = "an empty list of shapes" if shapes == [] else "no list of shapes"
            hint = "; --keep-empty takes it as background" if shapes == [] else ", it is no label of LabelMe"
            found.problems.append(f"{file}: has {what}, left out{hint}")
            continue
        image = _image(file, content)
        if image is not None and not outside_allowed() and leads_outside(str(image.absolute()), root, root) is not None:
            found.problems.append(f"{file}: its image {image} is outside of {root}, left out; {ALLOW_ADVICE}")
            continue
        if image is None:
            named = content.get("imagePath") or "one of the same name"
            found.problems.append(f"{file}: its image {named} is missing, left out")
            continue
        items = _items(file, shapes, found.left_out)
        kinds.update(item.kind for item in items)
        found.add(image_name(file, root), Record(image, items, file, _declared(file, content)))
    if not found.records:
        raise InputError(f"{src}: no LabelMe file can be used, the first: {found.problems[0]}")
    found.kinds = sorted(kinds)
    return found


def _content(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file, encoding="utf-8-sig")
    except TooLargeError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON in UTF-8"
        raise InputError(f"{file}: cannot be read ({reason}); replace or remove it") from error
    return content if isinstance(content, dict) else {}


def _image(file: Path, content: dict[str, Any]) -> Path | None:
    """Find the image: where the file says, by its name in the same folder, or by the label's own stem."""
    named = content.get("imagePath")
    places: list[Path] = []
    if isinstance(named, str) and named:
        windows = PureWindowsPath(named)  # LabelMe writes the separators of the machine it ran on
        places = [file.parent / named, file.parent / windows.as_posix(), file.parent / windows.name]
    places += (
        [path for path in sorted(file.parent.glob("*")) if path.stem == file.stem]
        if not any(place.is_file() for place in places)
        else []
    )
    return next((p for p in places if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()), None)


def _declared(file: Path, content: dict[str, Any]) -> tuple[int, int] | None:
    size = content.get("imageWidth"), content.get("imageHeight")
    if size == (None, None):
        return None
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise InputError(f"{file}: imageWidth and imageHeight are {size[0]} and {size[1]}; correct or remove them")
    return int(size[0] or 0), int(size[1] or 0)


def _items(file: Path, shapes: list[Any], left_out: Counter[str]) -> list[Item]:
    items: list[Item] = []
    for number, shape in enumerate(shapes, start=1):
        where = f"{file}, shape {number}"
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"{where}: has no label; name it or remove it")
        kind = str(shape.get("shape_type") or "polygon")  # LabelMe before version 3 had polygons only
        if kind not in _POINTS:
            left_out[f"{label.strip()} ({kind})"] += 1
            continue
        items.append(Item(label.strip(), _box(where, kind, shape.get("points"))))
    return items


def _box(where: str, kind: str, points: Any) -> Box:
    try:
        pairs = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: its points are not pairs of numbers; correct or remove it") from None
    if len(pairs) < _POINTS[kind] or not all(math.isfinite(value) for pair in pairs for value in pair):
        raise InputError(f"{where}: a {kind} of {len(pairs)} finite points needs {_POINTS[kind]}; correct or remove it")
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    return min(xs), min(ys), max(xs), max(ys)
