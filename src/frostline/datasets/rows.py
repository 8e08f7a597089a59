"""The rows of one YOLO label file: read, judged one by one, polygons taken as their boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.errors import InputError
from frostline.files import read_lines

BOX_COLUMNS = 5
MOST_LABEL_BYTES = 16 * 2**20
"""Of a label file: ten thousand polygons of a hundred points."""

ROUNDING = 1e-6
"""How far outside [0, 1] a coordinate may lie: the last of the six digits that converters print."""


@dataclass(frozen=True)
class Row:
    """One box of a label file.

    Attributes:
        line: its line in the file, from 1.
        index: class id.
        x: centre, as a share of the image's width.
        y: centre, as a share of the image's height.
        width: as a share of the image's width.
        height: as a share of the image's height.
    """

    line: int
    index: int
    x: float
    y: float
    width: float
    height: float

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom in pixels of an image of this (width, height)."""
        left, top = (self.x - self.width / 2) * size[0], (self.y - self.height / 2) * size[1]
        return left, top, left + self.width * size[0], top + self.height * size[1]


def read_rows(file: Path, classes: int) -> tuple[list[Row], list[tuple[int, str]]]:
    """Read a label file.

    Args:
        file: class and four shares of the image a line, or polygons alone. A missing file has no rows.
        classes: number of classes; ids run from 0 to one less.

    Returns:
        The good rows, and for every bad one its line and what is wrong with it.

    Raises:
        InputError: the file is there and cannot be read.
    """
    try:
        lines_read = read_lines(file, MOST_LABEL_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except UnicodeDecodeError:
        return [], [(1, "this is not UTF-8 text")]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check what it is and its permissions") from error
    good: list[Row] = []
    wrong: list[tuple[int, str]] = []
    lines = list(_split(lines_read))
    polygons = any(len(row) > BOX_COLUMNS + 1 for _, row in lines)
    for number, row in lines:
        try:
            values = [float(word) for word in row]
        except ValueError:
            wrong.append((number, f"'{' '.join(row[:BOX_COLUMNS])}' is not numbers only"))
            continue
        if what := _wrong_shape(len(row), polygons) or _wrong_values(values, classes):
            wrong.append((number, what))
        else:
            good.append(_row(number, values))
    return good, wrong


def _row(line: int, values: Sequence[float]) -> Row:
    if len(values) == BOX_COLUMNS:
        return Row(line, int(values[0]), *values[1:])
    xs, ys = values[1::2], values[2::2]
    x, y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    return Row(line, int(values[0]), x, y, max(xs) - min(xs), max(ys) - min(ys))


def _split(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=1):
        if row := line.split():
            yield number, row


def _wrong_shape(columns: int, polygons: bool) -> str:
    """Say what is wrong with the number of columns, or nothing."""
    if polygons and (columns < BOX_COLUMNS + 2 or columns % 2 == 0):
        mixed = " in a file of polygons" if columns == BOX_COLUMNS else ""
        return f"{columns} columns{mixed}; a polygon row has a class and three or more x y pairs, a box row 5 columns"
    if not polygons and columns != BOX_COLUMNS:
        return f"{columns} columns instead of 5 (class, x centre, y centre, width, height)"
    return ""


def _wrong_values(values: Sequence[float], classes: int) -> str:
    """Say what is wrong with a class id or a coordinate, or nothing."""
    number, *coordinates = values
    if not all(map(math.isfinite, values)):
        return "a value is not finite"
    if number != int(number):
        return f"class {number:g} is not a whole number"
    if not 0 <= number < classes:
        return f"class {int(number)} is out of range, the dataset has {classes} (0 to {classes - 1})"
    if min(coordinates) >= -ROUNDING and max(coordinates) <= 1 + ROUNDING:
        return ""
    outside = next(value for value in coordinates if not -ROUNDING <= value <= 1 + ROUNDING)
    return f"coordinate {outside:g} is outside [0, 1]; coordinates are shares of the image"
