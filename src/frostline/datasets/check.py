"""Labels read and checked before anything is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from frostline.datasets.dataset import Dataset, label_path
from frostline.datasets.rows import read_rows
from frostline.errors import InputError

_STEP = 1000


@dataclass(frozen=True)
class LabelSummary:
    """What the labels of a dataset hold.

    Attributes:
        names: class id to class name.
        images: number of images in each split.
        labelled: of those, images with at least one box.
        unlabelled: of those, images whose label file is missing or empty; they count as background.
        boxes: for each split, the number of boxes of every class id, zeros included.
        notes: what is legal and most likely meant otherwise, worded with counts and the first file.
    """

    names: dict[int, str]
    images: dict[str, int]
    labelled: dict[str, int]
    unlabelled: dict[str, int]
    boxes: dict[str, dict[int, int]]
    notes: tuple[str, ...] = ()


def check_labels(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> LabelSummary:
    """Read every label file of a dataset, and stop at labels that a training would drop without a word.

    Ultralytics leaves out every image whose label file it cannot use (a class id out of range, a coordinate far outside
    the image, a wrong number of columns) and mentions it in a warning at most. The run then trains and validates on
    fewer images than it was given. Here such a file is an error. A missing or empty label file is legal: the image has
    no objects. Rows of a polygon (class and three points or more) are legal where a file holds nothing else, and count
    as one box each. Boxes without an area and rows that stand twice are legal, too, and noted.

    Args:
        dataset: from `load_dataset`.
        progress: called with (label files read, label files in all) every thousand files and at the end.

    Returns:
        Images and boxes per split.

    Raises:
        InputError: a label is wrong, naming the first file and line and how many more there are; or `train` or `val`
            has not one box, which is a sign of labels in the wrong place.
    """
    total, done = sum(len(images) for images in dataset.splits.values()), 0
    problems, flat, twice = _Problems(), _Found(), _Found()
    images: dict[str, int] = {}
    labelled: dict[str, int] = {}
    boxes: dict[str, dict[int, int]] = {}
    for split, paths in dataset.splits.items():
        count = Counter[int]()
        with_boxes = 0
        for image in paths:
            file = label_path(image)
            rows = _rows(file, len(dataset.names), problems, flat, twice)
            with_boxes += bool(rows)
            count.update(rows)
            done += 1
            if progress and (done % _STEP == 0 or done == total):
                progress(done, total)
        images[split], labelled[split] = len(paths), with_boxes
        boxes[split] = {index: count[index] for index in dataset.names}
    problems.raise_if_any()
    for split in ("train", "val"):
        if not labelled[split]:
            place = label_path(dataset.splits[split][0])
            raise InputError(
                f"{dataset.yaml}: no image of '{split}:' has a label; labels are looked for in files such as {place}"
            )
    unlabelled = {split: images[split] - labelled[split] for split in images}
    return LabelSummary(dataset.names, images, labelled, unlabelled, boxes, _notes(flat, twice))


@dataclass
class _Found:
    """Something odd: how often it was found, and the first file."""

    rows: int = 0
    files: int = 0
    first: Path | None = None

    def add(self, file: Path, rows: int) -> None:
        if rows:
            self.rows, self.files, self.first = self.rows + rows, self.files + 1, self.first or file


def _notes(flat: _Found, twice: _Found) -> tuple[str, ...]:
    notes = []
    if flat.rows:
        notes.append(
            f"{flat.rows} boxes in {flat.files} label files have no area, such as in {flat.first}: nothing can match "
            "them, and in val they count as missed; correct or remove them"
        )
    if twice.rows:
        notes.append(
            f"{twice.rows} label rows in {twice.files} files repeat another row, such as in {twice.first}: "
            "Ultralytics drops repeats; remove them"
        )
    return tuple(notes)


@dataclass
class _Problems:
    """The first bad label, and how many there are."""

    first: str = ""
    lines: int = 0
    files: set[Path] = field(default_factory=set)

    def add(self, file: Path, line: int, what: str) -> None:
        self.first = self.first or f"{file}, line {line}: {what}"
        self.lines += 1
        self.files.add(file)

    def raise_if_any(self) -> None:
        if not self.lines:
            return
        more, others = self.lines - 1, len(self.files) - 1
        rest = "no other line is wrong"
        if more:
            where = f"{others} other file{'s' * (others != 1)}" if others else "the same file"
            same = " it and" if others and more > others else ""
            rest = f"{more} more line{'s' * (more != 1)} in{same} {where} {'are' if more != 1 else 'is'} wrong too"
        raise InputError(f"{self.first} ({rest}); correct the labels, a training would leave such images out")


def _rows(file: Path, classes: int, problems: _Problems, flat: _Found, twice: _Found) -> list[int]:
    """Return the class id of every good row; report the others, and what is odd about the good ones."""
    rows, wrong = read_rows(file, classes)
    for number, what in wrong:
        problems.add(file, number, what)
    flat.add(file, sum(row.width <= 0 or row.height <= 0 for row in rows))
    twice.add(file, len(rows) - len({(row.index, row.x, row.y, row.width, row.height) for row in rows}))
    return [row.index for row in rows]
