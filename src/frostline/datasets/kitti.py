"""KITTI's object labels made into a YOLO dataset: two splits, a data.yaml, and a table of what YOLO labels cannot hold.

KITTI (Geiger, Lenz, Urtasun, CVPR 2012) writes one text file an image and one object a line: type, truncation (0 to
1), occlusion (0 to 3), angle, then left, top, right, bottom in pixels, then three-dimensional values, not used here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.formats.found import Found, Item, Record, choose_classes, sizes_of, to_yolo
from frostline.datasets.layout import refuse_inside, split_names, write_dataset
from frostline.datasets.rows import MOST_LABEL_BYTES
from frostline.errors import InputError
from frostline.files import read_lines

__all__ = ["CLASSES", "KITTI_TYPES", "MAPPING", "KittiSummary", "convert_kitti", "read_kitti"]

KITTI_TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
CLASSES = ("Car", "Cyclist", "Pedestrian", "Tram", "Truck")
MAPPING: Mapping[str, str] = MappingProxyType({"Van": "Car", "Person_sitting": "Pedestrian"})
WHAT = "KITTI type"
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


def convert_kitti(
    src: str | Path,
    out: str | Path,
    ratio: float = 0.8,
    seed: int = 42,
    classes: Sequence[str] = CLASSES,
    *,
    mapping: Mapping[str, str] | None = None,
    link: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> KittiSummary:
    """Convert a KITTI folder to `out/images/{train,val}`, `out/labels/{train,val}` and `out/data.yaml`.

    Everything in `src` is read and checked, every image decoded, before anything is written. The same names, ratio and
    seed give the same split on any machine. Converting again into the same folder is allowed while it gives the same
    split; a folder that holds other images or labels is refused, as a stale image could end up in both splits. Boxes
    are clipped to the image, those without area dropped. Occlusion and truncation go to `out/kitti_objects.csv`, one
    row a box, where `row` counts the lines of the label file from 0.

    Args:
        src: a folder with `image_2/` and `label_2/`, or with `training/` above them.
        out: the dataset folder; made if missing.
        ratio: share of the images that train, in (0, 1). The number is rounded down, at least one image in each split.
        seed: picks the split.
        classes: class names, in the order of their ids.
        mapping: KITTI type to class name, for types that count as another. None: Van as Car and Person_sitting as
            Pedestrian, where those are among the classes.
        link: make symbolic links to the images instead of copies.
        workers: processes that decode images; None for one a core. Scripts that leave it so need an
            `if __name__ == "__main__"` guard.
        progress: called with (images decoded, images in all), and again from the start while they are written.

    Returns:
        Counts, and a line for every image without label, label without image and unreadable image; these are left out.

    Raises:
        InputError: a folder is missing, a label line is malformed (naming file and line), an option does not make
            sense, or `out` cannot be written or holds another dataset.
    """
    refuse_inside(Path(src), Path(out))
    source = read_kitti(Path(src))
    given = {kind: name for kind, name in MAPPING.items() if name in classes} if mapping is None else mapping
    classes, to_class = choose_classes(classes, given, source.kinds, WHAT)
    sizes = sizes_of(source, workers=workers, progress=progress)
    splits = split_names(list(sizes), ratio, seed)
    done = to_yolo(source, sizes, splits, to_class, classes)
    images = {name: record.image for name, record in source.records.items()}
    note = f"Converted from KITTI by Frostline: ratio {ratio:g}, seed {seed}."
    file = write_dataset(
        Path(out), splits, images, done.labels, classes, note=note, extra=done.sidecar(), link=link, progress=progress
    )
    counts = {split: len(stems) for split, stems in splits.items()}
    left_out = dict(sorted(done.left_out.items()))
    return KittiSummary(file, counts, done.boxes, left_out, done.no_area, done.clipped, sorted(source.problems))


def read_kitti(src: Path) -> Found:
    """Read a KITTI folder: `image_2/` and `label_2/`, or `training/` above them.

    Raises:
        InputError: a folder is missing, nothing pairs, or a label line is malformed.
    """
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
    records = {stem: Record(images[stem], _read_label(labels[stem]), labels[stem]) for stem in paired}
    seen = {item.kind for record in records.values() for item in record.items}
    return Found(records, [*KITTI_TYPES, *sorted(seen - set(KITTI_TYPES))], problems)


def _read_label(file: Path) -> list[Item]:
    try:
        lines = read_lines(file, MOST_LABEL_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text; replace the file") from error
    return [_parse(file, number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse(file: Path, number: int, fields: Sequence[str]) -> Item:
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
    return Item(fields[0], (left, top, right, bottom), truncation, int(occlusion))
