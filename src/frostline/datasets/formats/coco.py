"""COCO's JSON, read by the supervision library.

The library gets a copy of the file in which images are numbers and annotations have no masks: it would draw every mask
at full size to no use here, refuses images behind symbolic links, and ends at the first entry it does not like.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.formats.found import Found, Item, Record
from frostline.errors import InputError
from frostline.files import TooLargeError, read_json

MOST_BYTES = 2**30
"""Of a COCO file; that of its training split has 450 MB."""


def read_coco(src: Path) -> Found:
    """Read a COCO file of object annotations.

    Images are looked for beside the file, in `images/` beside it or one folder up, and in a folder of the file's own
    name there, as `train2017/` for `instances_train2017.json`. Crowd regions (`iscrowd`) are left out and counted.

    Args:
        src: the JSON file, or a folder that holds exactly one, itself or in `annotations/`.

    Raises:
        InputError: the file is missing or malformed, or none of its images is there.
    """
    file = _find(src)
    content = _content(file)
    left_out: Counter[str] = Counter()
    found = Found({}, [], left_out=left_out)
    boxes = _by_image(file, content, left_out)
    folders = _folders(file)
    classes, detections = _library(file, content, boxes)
    for number, entry in enumerate(content["images"]):
        name, size = entry["file_name"], (entry["width"], entry["height"])
        image = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if image is None or image.suffix.lower() not in IMAGE_SUFFIXES:
            what = "is missing" if image is None else "is no image"
            found.problems.append(f"{file}: its image {name} {what}, left out")
            continue
        marks = detections[str(number)]
        items = [
            Item(classes[int(index)], (float(box[0]), float(box[1]), float(box[2]), float(box[3])))
            for box, index in zip(marks.xyxy, marks.class_id if len(marks) else (), strict=True)
        ]
        parts = [part for part in Path(name).parts if part not in {"images", "..", "/", "."}]
        found.add("/".join([*parts[:-1], Path(name).stem]), Record(image, items, file, size))
    if not found.records:
        looked = ", ".join(str(folder) for folder in folders)
        raise InputError(f"{file}: none of its {len(found.problems)} images is there (looked in {looked})")
    found.kinds = list(classes)
    return found


def _find(src: Path) -> Path:
    if src.is_file():
        return src
    files = sorted(p for f in (src, src / "annotations") for p in f.glob("*.json") if not p.name.startswith("."))
    if len(files) != 1:
        raise InputError(f"{src}: holds {len(files)} .json files, also in annotations/; give the COCO file itself")
    return files[0]


def _folders(file: Path) -> list[Path]:
    own = file.stem.split("_")[-1]
    roots = [file.parent, *([file.parent.parent] if file.parent.name == "annotations" else [])]
    return [folder for root in roots for folder in (root, root / "images", root / own, root / "images" / own)]


def _content(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file, MOST_BYTES, "utf-8-sig")
    except TooLargeError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON in UTF-8"
        raise InputError(f"{file}: cannot be read ({reason}); replace it") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: is no COCO file; expected images, annotations and categories")
    needed = {"images": {"id", "file_name", "width", "height"}, "categories": {"id", "name"}, "annotations": set()}
    for key, fields in needed.items():
        entries = content.get(key)
        if not isinstance(entries, list):
            raise InputError(
                f"{file}: has no list of {key}; a COCO file of objects has images, annotations, categories"
            )
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or not fields <= entry.keys():
                raise InputError(f"{file}: entry {number} of {key} lacks one of {', '.join(sorted(fields))}")
    for number, entry in enumerate(content["images"]):
        sides = entry["width"], entry["height"]
        if not isinstance(entry["file_name"], str) or not all(isinstance(side, int) and side > 0 for side in sides):
            raise InputError(f"{file}: entry {number} of images has a file_name or a size that makes no sense")
    return content


def _by_image(file: Path, content: dict[str, Any], left_out: Counter[str]) -> dict[Any, list[dict[str, Any]]]:
    """Check annotations one by one and group what is needed of them by image id."""
    grouped: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    for number, mark in enumerate(content["annotations"]):
        where = f"{file}: entry {number} of annotations"
        if not isinstance(mark, dict):
            raise InputError(f"{where} is no mapping; correct or remove it")
        image, category, box = mark.get("image_id"), mark.get("category_id"), mark.get("bbox")
        if image not in grouped or category not in names:
            raise InputError(f"{where} belongs to image {image} and category {category}, and one of them is not there")
        if not isinstance(box, list) or len(box) != 4 or not all(_finite(value) for value in box):
            raise InputError(f"{where} has the bbox {box}; expected left, top, width and height")
        if mark.get("iscrowd"):
            left_out[f"{names[category]} (crowd)"] += 1
            continue
        # The library refuses a negative side; without area it is dropped and counted later, as everywhere.
        sides = [max(float(box[2]), 0.0), max(float(box[3]), 0.0)]
        grouped[image].append({"category_id": category, "bbox": [float(box[0]), float(box[1]), *sides]})
    return grouped


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _library(
    file: Path, content: dict[str, Any], boxes: Mapping[Any, list[dict[str, Any]]]
) -> tuple[list[str], dict[str, Any]]:
    import supervision

    images = [{**image, "id": n, "file_name": str(n)} for n, image in enumerate(content["images"])]
    marks = [
        {**mark, "id": 0, "image_id": number, "area": mark["bbox"][2] * mark["bbox"][3], "iscrowd": 0}
        for number, image in enumerate(content["images"])
        for mark in boxes[image["id"]]
    ]
    plain = {"images": images, "annotations": marks, "categories": content["categories"]}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "coco.json"
        copy.write_text(json.dumps(plain), encoding="utf-8")
        try:
            read = supervision.DetectionDataset.from_coco(folder, str(copy))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: cannot be read as COCO ({' '.join(str(error).split())})") from error
    return list(read.classes), {Path(path).name: marks for path, marks in read.annotations.items()}
