"""What every reader of labels gives, and the one way from there to YOLO label files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frostline.datasets.formats.sizes import whole_image_size
from frostline.errors import InputError, did_you_mean
from frostline.files import OBJECT_TABLE
from frostline.imaging.parallel import each

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, the far edges not included."""

SIDECAR = OBJECT_TABLE
SIDECAR_COLUMNS = (
    "split", "image", "row", "class", "kitti_type", "left", "top", "right", "bottom", "truncation", "occlusion"
)  # fmt: skip
_MOVED_PX = 1e-3
_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Item:
    """One labelled object.

    Attributes:
        kind: its name in the source.
        box: in pixels of the image as the source declares its size.
        truncation: KITTI's, 0 to 1.
        occlusion: KITTI's, 0 to 3; None in formats that do not say it.
    """

    kind: str
    box: Box
    truncation: float = 0.0
    occlusion: int | None = None


@dataclass(frozen=True)
class Record:
    """One image and its objects.

    Attributes:
        image: the file.
        items: its objects.
        label: the file that they were read from.
        declared: (width, height) that the label file gives; None where the format does not.
    """

    image: Path
    items: list[Item]
    label: Path
    declared: tuple[int, int] | None = None


@dataclass
class Found:
    """A whole source.

    Attributes:
        records: by name, which is the image's path below the source without its suffix, joined by `/`.
        kinds: names of objects, in the order in which the source numbers them, otherwise sorted.
        problems: one line for every image or label that cannot be used.
        left_out: objects that are no boxes, by what they are.
    """

    records: dict[str, Record]
    kinds: list[str]
    problems: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, record: Record) -> None:
        """Add a record.

        Raises:
            InputError: another image has this name.
        """
        if name in self.records:
            raise InputError(f"{record.image}: {self.records[name].image.name} has the same name; keep one of them")
        self.records[name] = record


@dataclass
class Converted:
    """YOLO labels and what became of the objects; `boxes` is by split, then class."""

    labels: dict[str, str]
    boxes: dict[str, dict[str, int]]
    rows: list[tuple[object, ...]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    no_area: int = 0
    clipped: int = 0

    def sidecar(self) -> dict[str, str]:
        """Return the table of what YOLO labels cannot hold, by file name; empty where the source has no such thing."""
        if not self.rows:
            return {}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(SIDECAR_COLUMNS)
        writer.writerows(self.rows)
        return {SIDECAR: text.getvalue()}


def image_name(path: Path, root: Path) -> str:
    """Name an image by its path below `root`, without folders called `images`: labels are found by that word."""
    parts = path.relative_to(root).with_suffix("").parts
    return "/".join([*(part for part in parts[:-1] if part != "images"), parts[-1]])


def choose_classes(
    classes: Sequence[str] | None, mapping: Mapping[str, str], kinds: Iterable[str], what: str
) -> tuple[list[str], dict[str, str]]:
    """Decide which class every kind of object counts as.

    Args:
        classes: class names in the order of their ids; None for all kinds, each under the name it is mapped to.
        mapping: kind to class name.
        kinds: every kind that can occur.
        what: how to call a kind in messages.

    Returns:
        Class names in the order of their ids, and kind to class name; a kind that is not in it is left out.

    Raises:
        InputError: a class twice or none, or a name that cannot occur.
    """
    known = list(dict.fromkeys(kinds))
    chosen = list(dict.fromkeys(mapping.get(kind, kind) for kind in known)) if classes is None else list(classes)
    if not chosen or len(set(chosen)) != len(chosen):
        raise InputError(f"classes '{','.join(chosen)}': name at least one class, and each only once")
    for kind, name in mapping.items():
        if kind not in known:
            raise InputError(f"map {kind}={name}: there is no {what} '{kind}'{did_you_mean(kind, known)}")
        if name not in chosen:
            raise InputError(f"map {kind}={name}: '{name}' is none of the classes {', '.join(chosen)}")
    for name in chosen:
        if name not in known and name not in mapping.values():
            raise InputError(f"class '{name}': no {what} has this name or is mapped to it{did_you_mean(name, known)}")
    return chosen, {**{name: name for name in chosen if name in known}, **mapping}


def sizes_of(
    found: Found,
    scale_to_image: bool = False,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, tuple[int, int]]:
    """Decode every image for its size, as (width, height); one that cannot be read whole becomes a problem.

    Args:
        found: the source.
        scale_to_image: let a label file declare another size than its image has.
        workers: processes; None for one a core.
        progress: called with (images decoded, images in all).

    Raises:
        InputError: a label file declares another size and `scale_to_image` is off; or no image can be read.
    """
    images = list(dict.fromkeys(record.image for record in found.records.values()))
    known: dict[Path, tuple[int, int]] = {}
    for done, (image, outcome) in enumerate(each(whole_image_size, images, workers), start=1):
        if isinstance(outcome, Exception):
            found.problems.append(str(outcome) if isinstance(outcome, InputError) else f"{image}: {outcome}")
        else:
            known[image] = outcome
        if progress:
            progress(done, len(images))
    if not known:
        raise InputError(f"no image can be read, the first: {min(found.problems)}")
    sizes = {name: known[record.image] for name, record in found.records.items() if record.image in known}
    for name, size in sizes.items():
        record = found.records[name]
        if record.declared and record.declared != size and not scale_to_image:
            (width, height), (w, h) = record.declared, size
            raise InputError(
                f"{record.label}: says {width} x {height}, but {record.image.name} is {w} x {h}; "
                "correct one of them, or scale the boxes with --scale-to-image"
            )
    return sizes


def to_yolo(
    found: Found,
    sizes: Mapping[str, tuple[int, int]],
    splits: Mapping[str, Sequence[str]],
    to_class: Mapping[str, str],
    classes: Sequence[str],
) -> Converted:
    """Turn objects into label files: mapped, scaled from the declared size, clipped to the image.

    Args:
        found: the source.
        sizes: name to (width, height) of the image.
        splits: split to names.
        to_class: kind to class name.
        classes: class names in the order of their ids.
    """
    done = Converted({}, {split: dict.fromkeys(classes, 0) for split in splits}, left_out=Counter(found.left_out))
    number = {name: index for index, name in enumerate(classes)}
    for split, names in splits.items():
        for stem in names:
            lines: list[str] = []
            record, size = found.records[stem], sizes[stem]
            for item in record.items:
                name = to_class.get(item.kind)
                if name is None:
                    done.left_out[item.kind] += 1
                    continue
                wanted = _scaled(item.box, record.declared or size, size)
                box = clip(wanted, size)
                if box is None or _rounds_to_nothing(box, size):
                    done.no_area += 1
                    continue
                done.clipped += any(abs(a - b) > _MOVED_PX for a, b in zip(box, wanted, strict=True))
                done.boxes[split][name] += 1
                if item.occlusion is not None:
                    done.rows.append((split, stem, len(lines), name, item.kind, *box, item.truncation, item.occlusion))
                lines.append(_yolo_line(number[name], box, size))
            done.labels[stem] = "".join(lines)
    return done


def clip(box: Box, size: tuple[int, int]) -> Box | None:
    """Cut a box to an image of this (width, height); None where nothing with an area is left."""
    (left, top, right, bottom), (width, height) = box, size
    left, right = (min(max(x, 0.0), float(width)) for x in (left, right))
    top, bottom = (min(max(y, 0.0), float(height)) for y in (top, bottom))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _rounds_to_nothing(box: Box, size: tuple[int, int]) -> bool:
    """Say whether a side would be written as 0.000000."""
    return min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]) < _LEAST_SHARE


def _scaled(box: Box, declared: tuple[int, int], size: tuple[int, int]) -> Box:
    if declared == size:
        return box
    x, y = size[0] / declared[0], size[1] / declared[1]
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def _yolo_line(index: int, box: Box, size: tuple[int, int]) -> str:
    (left, top, right, bottom), (width, height) = box, size
    x, y = (left + right) / 2 / width, (top + bottom) / 2 / height
    return f"{index} {x:.6f} {y:.6f} {(right - left) / width:.6f} {(bottom - top) / height:.6f}\n"
