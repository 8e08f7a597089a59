"""What a dataset's pixel values are: their type, the range that becomes [0, 1], and how light is encoded in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frostline.datasets.dataset import Dataset
from frostline.datasets.headers import StoredAs, stored_as
from frostline.errors import InputError, did_you_mean
from frostline.imaging import LOG_SPAN, tiff_metadata

ENCODINGS = ("linear", "srgb", "log")
PADDING = 114 / 255
"""The grey that pads an image, as a share of the range: the 114 of 255 that Ultralytics pads 8-bit images with."""

_FULL = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
_EXAMPLE = "pixels: {range: [0, 65535], encoding: linear}"


@dataclass(frozen=True)
class PixelFormat:
    """The pixel values of a dataset.

    Attributes:
        kind: `uint8`, `uint16` or `float32`.
        low: the value that becomes 0 at the network's input.
        high: the value that becomes 1.
        encoding: `linear` and `srgb`: a gain of brightness multiplies the values; `log`: it shifts them.
        log_range: for `log`, the natural logarithms of light that `low` and `high` stand for.
        exact: whether the files are read here; False for 8-bit files, which Ultralytics reads and augments itself.
    """

    kind: str
    low: float
    high: float
    encoding: str
    log_range: tuple[float, float] | None = None
    exact: bool = True

    @property
    def deep(self) -> bool:
        """Whether a value has more than 8 bits."""
        return self.kind != "uint8"

    @property
    def padding(self) -> float:
        """The value that pads an image; whole where values are."""
        value = self.low + PADDING * (self.high - self.low)
        return value if self.kind == "float32" else float(round(value))

    @property
    def scale(self) -> tuple[Any, ...]:
        """What a value means: formats that are equal in this differ at most in who reads the files."""
        return self.kind, self.low, self.high, self.encoding, self.log_range

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for records."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PixelFormat:
        """Return what `to_dict` gave, also after a way through JSON.

        Raises:
            TypeError: this is something else.
            ValueError: the same.
        """
        given = dict(data)
        log_range = given.pop("log_range", None)
        if log_range is not None:
            low, high = log_range
            log_range = (float(low), float(high))
        return cls(**given, log_range=log_range)


EIGHT_BITS = PixelFormat("uint8", 0.0, 255.0, "srgb", exact=False)
"""What plain Ultralytics knows."""


def pixel_format(dataset: Dataset) -> PixelFormat:
    """Tell the pixel format of a dataset.

    The type is that of its first training image (`check_images` makes sure that the others agree). The range and the
    encoding are what data.yaml declares:

        pixels: {range: [0, 65535], encoding: log, log_range: [7.4, 13.4]}

    Without that, the range is that of the type (floats: [0, 1]), and the encoding what `frostline chroma convert` and
    `frostline raw convert` left in the file's metadata, or else linear.

    Args:
        dataset: from `load_dataset`.

    Raises:
        InputError: the image cannot be used, or the declaration makes no sense or does not go with it.
    """
    first = dataset.train[0]
    stored = stored_as(first)
    declared = _declared(dataset)
    if stored.kind == "uint8":
        if declared:
            raise InputError(
                f"{dataset.yaml}: 'pixels:' is for images of more than 8 bits, and {first} has 8, which are trained as "
                "Ultralytics trains them; remove it"
            )
        return PixelFormat("uint8", 0.0, 255.0, "srgb", exact=not stored.by_opencv)
    return given_format(stored, declared or told_format(first), str(dataset.yaml))


def given_format(stored: StoredAs, declared: Mapping[str, Any], where: str) -> PixelFormat:
    """Complete a declaration with the defaults of a type.

    Args:
        stored: how the images are stored.
        declared: `range`, `encoding` and `log_range`, any of them.
        where: what messages start with.

    Raises:
        InputError: for unknown keys, a range that is none, or a log encoding without its `log_range`.
    """
    unknown = [key for key in declared if key not in ("range", "encoding", "log_range")]
    if unknown:
        hint = did_you_mean(str(unknown[0]), ("range", "encoding", "log_range"))
        raise InputError(f"{where}: 'pixels:' has no '{unknown[0]}'{hint}; it is written as {_EXAMPLE}")
    encoding = declared.get("encoding", "linear")
    if encoding not in ENCODINGS:
        raise InputError(f"{where}: 'encoding: {encoding}' is not one of {', '.join(ENCODINGS)}")
    full = _FULL[stored.kind]
    low, high = _pair(declared.get("range", (0.0, full)), f"{where}: 'range:'")
    if stored.kind != "float32" and not (low >= 0 and high <= full):
        raise InputError(f"{where}: 'range: [{low:g}, {high:g}]' goes beyond what {stored.kind} holds, 0 to {full:g}")
    log_range = None
    if encoding == "log":
        if "log_range" not in declared:
            raise InputError(
                f"{where}: 'encoding: log' needs 'log_range:', the natural logarithms that the ends of the range stand "
                "for; frostline chroma convert uses [anchor - 3, anchor + 3], such as [7.4, 13.4]"
            )
        log_range = _pair(declared["log_range"], f"{where}: 'log_range:'")
    elif "log_range" in declared:
        raise InputError(f"{where}: 'log_range:' goes with 'encoding: log' only; remove one or change the other")
    return PixelFormat(stored.kind, low, high, encoding, log_range)


def told_format(image: Path) -> dict[str, Any]:
    """Read what our converters wrote beside the pixels, as `given_format` takes it; empty for anybody else's file."""
    told = tiff_metadata(image) if image.suffix.lower() in {".tif", ".tiff"} else {}
    anchor = told.get("anchor")
    if told.get("encode") == "log" and isinstance(anchor, int | float):
        return {"encoding": "log", "log_range": [anchor - LOG_SPAN, anchor + LOG_SPAN]}
    return {"encoding": "linear"} if told.get("encode") == "linear" else {}


def _declared(dataset: Dataset) -> dict[str, Any]:
    if dataset.pixels is None:
        return {}
    if not isinstance(dataset.pixels, dict):
        raise InputError(f"{dataset.yaml}: 'pixels:' is {dataset.pixels!r}; it is written as {_EXAMPLE}")
    return dataset.pixels


def _pair(value: Any, what: str) -> tuple[float, float]:
    try:
        low, high = (float(number) for number in value)
    except (TypeError, ValueError):
        raise InputError(f"{what} {value!r} is not two numbers, such as [0, 65535]") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{what} [{low:g}, {high:g}] must rise from the first number to the second")
    return low, high
