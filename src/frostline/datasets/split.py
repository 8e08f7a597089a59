"""Images and labels to a dataset in splits: pairs only, decided once, kept in folders."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.formats.found import SIDECAR, SIDECAR_COLUMNS
from frostline.datasets.formats.yolo import NAME_FILES, class_names
from frostline.datasets.layout import write_dataset
from frostline.datasets.rows import read_rows
from frostline.datasets.splitting import group_names, split_groups
from frostline.errors import InputError
from frostline.files import read_bounded, read_lines


@dataclass(frozen=True)
class SplitSummary:
    """What a split holds.

    Attributes:
        yaml: the data.yaml written.
        images: images in each split.
        empty: of those, images without boxes.
        boxes: for each split, the number of boxes of every class name, zeros included.
        groups: number of groups that were kept together; 0 where images were dealt out one by one.
        problems: one line for every image without label and label without image; these are left out.
    """

    yaml: Path
    images: dict[str, int]
    empty: dict[str, int]
    boxes: dict[str, dict[str, int]]
    groups: int
    problems: list[str]


def split_dataset(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    shares: Sequence[float] = (0.8, 0.2),
    seed: int = 42,
    *,
    classes: Sequence[str] | None = None,
    stratify: bool = False,
    group_by: str | None = None,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SplitSummary:
    """Split pairs of images and YOLO labels into `out/images/<split>`, `out/labels/<split>` and `out/data.yaml`.

    The same names, shares and seed give the same split on any machine (with `stratify`, the same labels too).
    Sub-folders are kept. A `kitti_objects.csv` beside the images' or the labels' folder is carried along, with the
    split of every row filled in.

    Args:
        images: folder of images.
        labels: folder of label files of the same names.
        out: the dataset folder; made if missing.
        shares: of train, val and, as a third, test; adding up to 1.
        seed: picks the split.
        classes: class names in the order of their ids. None: from classes.txt, obj.names or data.yaml in either folder
            or above it.
        stratify: spread every class over the splits as evenly as whole images allow.
        group_by: regular expression on image names; images in which it finds the same stay together.
        link: make symbolic links to the images instead of copies.
        progress: called with (images written, images in all).

    Raises:
        InputError: a folder is missing, nothing pairs, a label is malformed, an option makes no sense, or `out` cannot
            be written or holds another dataset.
    """
    images, labels = Path(images), Path(labels)
    problems: list[str] = []
    pairs = _pairs(images, labels, problems)
    classes = _checked(class_names([labels, labels.parent, images, images.parent]) if classes is None else classes)
    found = {name: _class_ids(label, len(classes)) for name, (_, label) in pairs.items()}
    groups = group_names(pairs, group_by)
    splits = split_groups(groups, shares, seed, found if stratify else None)
    how = [f"ratio {','.join(f'{share:g}' for share in shares)}, seed {seed}"]
    how += ["stratified"] if stratify else []
    how += [f"grouped by {group_by!r}"] if group_by else []
    file = write_dataset(
        Path(out),
        splits,
        {name: image for name, (image, _) in pairs.items()},
        _Texts({name: label for name, (_, label) in pairs.items()}),
        classes,
        note=f"Split by Frostline: {', '.join(how)}.",
        extra=_sidecar([images.parent, labels.parent], splits),
        link=link,
        progress=progress,
    )
    boxes: dict[str, dict[str, int]] = {}
    for split, names in splits.items():
        count = Counter(index for name in names for index in found[name])
        boxes[split] = {name: count[index] for index, name in enumerate(classes)}
    return SplitSummary(
        yaml=file,
        images={split: len(names) for split, names in splits.items()},
        empty={split: sum(not found[name] for name in names) for split, names in splits.items()},
        boxes=boxes,
        groups=len(groups) if group_by else 0,
        problems=sorted(problems),
    )


def _checked(classes: Sequence[str]) -> Sequence[str]:
    if not classes or len(set(classes)) != len(classes):
        raise InputError(f"classes '{','.join(classes)}': name at least one class, and each only once")
    return classes


class _Texts(dict[str, str]):
    """Label texts by name, read when they are asked for."""

    def __init__(self, files: dict[str, Path]) -> None:
        super().__init__()
        self._files = files

    def __missing__(self, name: str) -> str:
        return read_bounded(self._files[name]).decode("utf-8-sig")


def _pairs(images: Path, labels: Path, problems: list[str]) -> dict[str, tuple[Path, Path]]:
    for folder in (images, labels):
        if not folder.is_dir():
            raise InputError(f"{folder}: is no folder; give the folder of images, then that of labels")
    pictures: dict[str, Path] = {}
    for path in _below(images):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            name = path.relative_to(images).with_suffix("").as_posix()
            if name in pictures:
                raise InputError(f"{path}: {pictures[name].name} has the same name; keep one of them")
            pictures[name] = path
    texts = {
        path.relative_to(labels).with_suffix("").as_posix(): path
        for path in _below(labels)
        if path.suffix == ".txt" and path.name not in NAME_FILES
    }
    problems += [f"{pictures[name]}: has no label {labels / name}.txt, left out" for name in pictures.keys() - texts]
    problems += [f"{texts[name]}: has no image in {images}, left out" for name in texts.keys() - pictures.keys()]
    pairs = {name: (pictures[name], texts[name]) for name in sorted(pictures.keys() & texts.keys())}
    if not pairs:
        raise InputError(
            f"{images}: none of its {len(pictures)} images has one of the {len(texts)} labels in {labels}; "
            "an image and its label have the same name"
        )
    nested = next((name for name in pairs if "images" in name.split("/")[:-1]), None)
    if nested:
        raise InputError(
            f"{pairs[nested][0]}: lies in a sub-folder 'images', and labels are found by that word; rename"
        )
    return pairs


def _below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]


def _class_ids(label: Path, classes: int) -> list[int]:
    rows, wrong = read_rows(label, classes)
    if wrong:
        more = f" ({len(wrong) - 1} more in this file)" if len(wrong) > 1 else ""
        raise InputError(f"{label}, line {wrong[0][0]}: {wrong[0][1]}{more}; correct the label")
    return [row.index for row in rows]


def _sidecar(folders: Sequence[Path], splits: dict[str, list[str]]) -> dict[str, str]:
    """Return the table of KITTI's occlusion and truncation with its splits filled in; nothing where there is none."""
    file = next((folder / SIDECAR for folder in folders if (folder / SIDECAR).is_file()), None)
    if file is None:
        return {}
    split_of = {name: split for split, names in splits.items() for name in names}
    order = {name: position for position, name in enumerate(split_of)}
    try:
        reader = csv.DictReader(io.StringIO("\n".join(read_lines(file)), newline=""))
        rows = [row for row in reader if row["image"] in split_of]
        rows.sort(key=lambda row: (order[row["image"]], int(row["row"])))
        text = io.StringIO()
        writer = csv.DictWriter(text, SIDECAR_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "split": split_of[row["image"]]} for row in rows)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(
            f"{file}: is no table of {', '.join(SIDECAR_COLUMNS)}; make it again with data convert, or remove it"
        ) from error
    return {SIDECAR: text.getvalue()}
