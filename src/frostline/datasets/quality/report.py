"""What a check says: findings with a level, numbers, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["error", "warning"]
SMALL, MEDIUM = 32.0**2, 96.0**2
"""COCO's bounds between small, medium and large boxes, pixels of area (Lin et al., ECCV 2014, evaluation code)."""


@dataclass(frozen=True)
class Finding:
    """One kind of trouble.

    Attributes:
        level: an `error` spoils a training or its numbers, a `warning` is to be known.
        code: a word for programs.
        message: a line for people.
        count: how many images, labels or pairs it concerns.
        where: each of them, in order.
    """

    level: Level
    code: str
    message: str
    count: int
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pixels:
    """What the images of one stored type use of it.

    Attributes:
        dtype: numpy's name of the type.
        channels: number of channels to number of images.
        images: how many images.
        levels: median number of different values in an image (of a sample of its pixels).
        highest: largest 99.9th percentile of any image.
        share: median of the 99.9th percentiles, as a share of what the type can store.
        stops: median dynamic range: log2 of the 99.9th over the 0.1st percentile (at least one code value).
    """

    dtype: str
    channels: dict[int, int]
    images: int
    levels: int
    highest: float
    share: float
    stops: float


@dataclass(frozen=True)
class Report:
    """Everything a check found.

    Attributes:
        yaml: the data.yaml.
        names: class names in the order of their ids.
        images: split to number of images.
        background: split to number of images without boxes.
        boxes: split to class name to number of boxes.
        box_sizes: class name to number of small, medium and large boxes, pixels of the stored images.
        sizes: `WxH` to number of images, most frequent first.
        pixels: one entry a stored type.
        findings: errors first.
    """

    yaml: Path
    names: list[str]
    images: dict[str, int]
    background: dict[str, int]
    boxes: dict[str, dict[str, int]]
    box_sizes: dict[str, dict[str, int]]
    sizes: dict[str, int]
    pixels: list[Pixels]
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """The findings that spoil a training."""
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def verdict(self) -> str:
        """One line: fit to train on, or not."""
        errors = len(self.errors)
        warnings = len(self.findings) - errors
        said = f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
        if errors:
            return f"not fit to train on: {said}; correct the errors first"
        return f"fit to train on, {said}: read them first" if warnings else "fit to train on: nothing found"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        content = asdict(self)
        fit = not self.errors
        return {**content, "yaml": str(self.yaml), "verdict": self.verdict, "fit": fit}


def box_size(width: float, height: float) -> str:
    """Name a box of this width and height in pixels `small`, `medium` or `large`, by COCO's areas."""
    area = width * height
    return "small" if area < SMALL else "medium" if area < MEDIUM else "large"


def error(code: str, message: str, where: Sequence[object]) -> list[Finding]:
    """Return a finding that spoils a training, or none where it concerns nothing; `{n}` becomes the count."""
    return _finding("error", code, message, where)


def warning(code: str, message: str, where: Sequence[object]) -> list[Finding]:
    """Return a finding to be known, or none where it concerns nothing; `{n}` becomes the count."""
    return _finding("warning", code, message, where)


def _finding(level: Level, code: str, message: str, where: Sequence[object]) -> list[Finding]:
    if not where:
        return []
    told = message.replace("{n}", str(len(where)))  # not format: a class may have braces in its name
    return [Finding(level, code, told, len(where), tuple(str(item) for item in where))]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
