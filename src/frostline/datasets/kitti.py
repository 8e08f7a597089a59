"""KITTI's object labels made into a YOLO dataset: two splits, a data.yaml, and a table of what YOLO labels cannot hold.

KITTI (Geiger, Lenz, Urtasun, CVPR 2012) writes one text file an image and one object a line: type, truncation (0 to
1), occlusion (0 to 3), angle, then left, top, right, bottom in pixels, then three-dimensional values, not used here.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.layout import split_names, write_dataset
from frostline.errors import InputError, did_you_mean

KITTI_TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
CLASSES = ("Car", "Cyclist", "Pedestrian", "Tram", "Truck")
MAPPING: Mapping[str, str] = MappingProxyType({"Van": "Car", "Person_sitting": "Pedestrian"})
SIDECAR = "kitti_objects.csv"
_COLUMNS = (
    "split", "image", "row", "class", "kitti_type", "left", "top", "right", "bottom", "truncation", "occlusion"
)  # fmt: skip
_LABEL_FIELDS = (15, 16)  # 16 with a score


@dataclass(frozen=True)
class KittiSummary:
    """What a conversion wrote and what it left out.

    Attributes:
        yaml: the data.yaml written.
        images: images in each split.
        boxes: for each split, the number of boxes of every class name, zeros included.
        left_out: objects whose type is no class after the mapping, by KITTI type (DontCare, Misc, ...).
        no_area: objects without area inside the image, dropped.
        clipped: objects that reached past the image's border and were cut to it.
        problems: one line for every image or label that could not be used; the rest was converted.
    """

    yaml: Path
    images: dict[str, int]
    boxes: dict[str, dict[str, int]]
    left_out: dict[str, int]
    no_area: int
    clipped: int
    problems: list[str]


Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class _Object:
    kind: str
    truncation: float
    occlusion: int
    box: Box


@dataclass(frozen=True)
class _Source:
    images: dict[str, Path]
    objects: dict[str, list[_Object]]
    problems: list[str]


@dataclass
class _Converted:
    labels: dict[str, str]
    boxes: dict[str, dict[str, int]]
    rows: list[tuple[object, ...]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    no_area: int = 0
    clipped: int = 0


def convert_kitti(
    src: str | Path,
    out: str | Path,
    ratio: float = 0.8,
    seed: int = 42,
    classes: Sequence[str] = CLASSES,
    *,
    mapping: Mapping[str, str] | None = None,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> KittiSummary:
    """Convert a KITTI folder to `out/images/{train,val}`, `out/labels/{train,val}` and `out/data.yaml`.

    Everything in `src` is read and checked before anything is written. The same names, ratio and seed give the same
    split on any machine. Converting again into the same folder is allowed while it gives the same split; a folder that
    holds other images or labels is refused, as a stale image could end up in both splits. Boxes are clipped to the
    image, those without area dropped. Occlusion and truncation go to `out/kitti_objects.csv`, one row a box, where
    `row` counts the lines of the label file from 0.

    Args:
        src: a folder with `image_2/` and `label_2/`, or with `training/` above them.
        out: the dataset folder; made if missing.
        ratio: share of the images that train, in (0, 1). The number is rounded down, at least one image in each split.
        seed: picks the split.
        classes: class names, in the order of their ids.
        mapping: KITTI type to class name, for types that count as another. None: Van as Car and Person_sitting as
            Pedestrian, where those are among the classes.
        link: make symbolic links to the images instead of copies.
        progress: called with (images written, images in all).

    Returns:
        Counts, and a line for every image without label, label without image and unreadable image; these are left out.

    Raises:
        InputError: a folder is missing, a label line is malformed (naming file and line), an option does not make
            sense, or `out` cannot be written or holds another dataset.
    """
    source = _read_source(Path(src))
    to_class = _class_of_type(classes, mapping, {item.kind for items in source.objects.values() for item in items})
    sizes = _sizes(source)
    splits = split_names(list(sizes), ratio, seed)
    done = _convert(source, sizes, splits, to_class, classes)
    note = f"Converted from KITTI by Frostline: ratio {ratio:g}, seed {seed}."
    sidecar = {SIDECAR: _csv(done.rows)}
    file = write_dataset(
        Path(out), splits, source.images, done.labels, classes, note=note, extra=sidecar, link=link, progress=progress
    )
    images = {split: len(stems) for split, stems in splits.items()}
    left_out = dict(sorted(done.left_out.items()))
    return KittiSummary(file, images, done.boxes, left_out, done.no_area, done.clipped, sorted(source.problems))


def image_size(image: Path) -> tuple[int, int]:
    """Return (width, height) in pixels from the file's header, without decoding it.

    Raises:
        InputError: the header is not that of an image in one of five common formats.
    """
    # Not Image.open: once Ultralytics is imported, that one installs a package when it meets a file it does not know.
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    for reader in (PngImageFile, JpegImageFile, TiffImageFile, BmpImageFile, WebPImageFile):
        with suppress(OSError, ValueError, SyntaxError), reader(str(image)) as opened:
            width, height = opened.size
            return int(width), int(height)
    raise InputError(f"{image}: cannot be read as a PNG, JPEG, TIFF, BMP or WebP image; replace or remove it")


def _read_source(src: Path) -> _Source:
    root = next((root for root in (src, src / "training") if (root / "image_2").is_dir()), None)
    if root is None:
        raise InputError(f"{src}: there is no image_2/ in it, nor training/image_2/; give the folder of a KITTI set")
    if not (root / "label_2").is_dir():
        raise InputError(f"{root}: there is no label_2/ beside image_2/; KITTI has labels for its training part only")
    images: dict[str, Path] = {}
    for path in sorted((root / "image_2").iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            if path.stem in images:
                raise InputError(f"{path}: {images[path.stem].name} has the same name; keep one of them")
            images[path.stem] = path
    labels = {path.stem: path for path in (root / "label_2").glob("*.txt") if not path.name.startswith(".")}
    paired = sorted(images.keys() & labels.keys())
    if not paired:
        raise InputError(f"{root}: no image in image_2/ has a label of the same name in label_2/; nothing to convert")
    problems = [f"{images[stem]}: has no label_2/{stem}.txt, left out" for stem in images.keys() - labels.keys()]
    problems += [f"{labels[stem]}: has no image in image_2/, left out" for stem in labels.keys() - images.keys()]
    return _Source({stem: images[stem] for stem in paired}, {s: _read_label(labels[s]) for s in paired}, problems)


def _sizes(source: _Source) -> dict[str, tuple[int, int]]:
    """Return the size of every image that can be read; the others become problems."""
    sizes: dict[str, tuple[int, int]] = {}
    for stem, image in source.images.items():
        try:
            sizes[stem] = image_size(image)
        except InputError as error:
            source.problems.append(str(error))
    return sizes


def _class_of_type(classes: Sequence[str], mapping: Mapping[str, str] | None, seen: set[str]) -> dict[str, str]:
    if not classes or len(set(classes)) != len(classes):
        raise InputError(f"classes '{','.join(classes)}': name at least one class, and each only once")
    given = {kind: name for kind, name in MAPPING.items() if name in classes} if mapping is None else dict(mapping)
    known = sorted({*KITTI_TYPES, *seen})
    for kind, name in given.items():
        if kind not in known:
            raise InputError(f"map {kind}={name}: there is no KITTI type '{kind}'{did_you_mean(kind, known)}")
        if name not in classes:
            raise InputError(f"map {kind}={name}: '{name}' is none of the classes {', '.join(classes)}")
    for name in classes:
        if name not in known and name not in given.values():
            raise InputError(
                f"class '{name}': no KITTI type has this name or is mapped to it{did_you_mean(name, known)}"
            )
    return {**{name: name for name in classes if name in known}, **given}


def _read_label(file: Path) -> list[_Object]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text; replace the file") from error
    return [_parse(file, number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse(file: Path, number: int, fields: Sequence[str]) -> _Object:
    if len(fields) not in _LABEL_FIELDS:
        raise InputError(f"{file}, line {number}: {len(fields)} fields instead of KITTI's 15; correct the line")
    try:
        truncation, occlusion, *_ = values = [float(word) for word in fields[1:]]
    except ValueError:
        raise InputError(f"{file}, line {number}: a field after the type is not a number; correct the line") from None
    left, top, right, bottom = values[3:7]
    if not all(map(math.isfinite, values)) or occlusion != int(occlusion):
        raise InputError(
            f"{file}, line {number}: a value is not finite or the occlusion no whole number; correct the line"
        )
    return _Object(fields[0], truncation, int(occlusion), (left, top, right, bottom))


def _convert(
    source: _Source,
    sizes: Mapping[str, tuple[int, int]],
    splits: Mapping[str, Sequence[str]],
    to_class: Mapping[str, str],
    classes: Sequence[str],
) -> _Converted:
    done = _Converted({}, {split: dict.fromkeys(classes, 0) for split in splits})
    for split, stems in splits.items():
        for stem in stems:
            lines: list[str] = []
            for item in source.objects[stem]:
                name = to_class.get(item.kind)
                if name is None:
                    done.left_out[item.kind] += 1
                    continue
                box = _clip(item.box, sizes[stem])
                if box is None:
                    done.no_area += 1
                    continue
                done.clipped += box != item.box
                done.boxes[split][name] += 1
                done.rows.append((split, stem, len(lines), name, item.kind, *box, item.truncation, item.occlusion))
                lines.append(_yolo_line(classes.index(name), box, sizes[stem]))
            done.labels[stem] = "".join(lines)
    return done


def _clip(box: Box, size: tuple[int, int]) -> Box | None:
    (left, top, right, bottom), (width, height) = box, size
    left, right = (min(max(x, 0.0), float(width)) for x in (left, right))
    top, bottom = (min(max(y, 0.0), float(height)) for y in (top, bottom))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _yolo_line(index: int, box: Box, size: tuple[int, int]) -> str:
    (left, top, right, bottom), (width, height) = box, size
    x, y = (left + right) / 2 / width, (top + bottom) / 2 / height
    return f"{index} {x:.6f} {y:.6f} {(right - left) / width:.6f} {(bottom - top) / height:.6f}\n"


def _csv(rows: Sequence[tuple[object, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    return text.getvalue()
