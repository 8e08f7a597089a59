"""How a number is written for people: one way for the page, Markdown, LaTeX and the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from frostline.report.model import Column, Kind

_LEAST_P = 0.001  # below, the number of resamples says more about a p-value than the data do
_HOUR = 3600
_GIB = 2**30


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        value: as in the frame, to sort by; None where it is not defined.
        text: the value for people, without interval and unit: `43.2`. Empty where it is not defined.
        interval: `41.0 to 45.1`, or empty.
        unit: `s`, or empty.
        low: lower end of the interval as in the frame, None without one.
        high: upper end.
    """

    value: str | float | bool | None
    text: str
    interval: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Write it in one line: `43.2 (41.0 to 45.1)`."""
        return f"{self.text}{f' ({self.interval})' if self.interval else ''}{f' {self.unit}' if self.unit else ''}"


def cell(row: Mapping[str, Any], column: Column) -> Cell:
    """Write the cell of a row.

    Args:
        row: a row of the table's frame; a key that it lacks is not defined.
        column: which value, of which kind, and where its interval is.
    """
    value = row.get(column.key)
    number = _number(value)
    if number is None or column.kind == "text" or isinstance(value, bool):
        text = "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else _words(value)
        return Cell(value if isinstance(value, str | bool) else text or None, text)
    write, unit = _writer(column.kind, number)
    low, high = (_number(row.get(key)) if key else None for key in (column.low, column.high))
    if low is None or high is None:
        return Cell(number, write(number), unit=unit)
    return Cell(number, write(number), f"{write(low)} to {write(high)}", unit, low, high)


def cell_text(value: object, kind: Kind) -> str:
    """Write one value: 0.432 as `43.2` for a percentage, and nothing where it is not defined.

    Args:
        value: as in a table's frame; None, NaN and infinities are not defined.
        kind: percent: in [0, 1], written times 100; points: a difference in [-1, 1], times 100 with its sign;
            seconds, bytes: with their unit; p: `<0.001` where it is smaller, and never 0.
    """
    return str(cell({"value": value}, Column("value", "", kind)))


def _writer(kind: Kind, scale: float) -> tuple[Callable[[float], str], str]:
    """Give how numbers of a kind are written, and their unit: both ends of an interval as the value, `scale`."""
    if kind == "seconds" and abs(scale) >= _HOUR:
        return (lambda value: f"{value / _HOUR:.1f}"), "h"
    places = 2 if abs(scale) < 10 else 1 if abs(scale) < 100 else 0
    writers: Mapping[Kind, Callable[[float], str]] = {
        "percent": lambda value: _plain(f"{100 * value:.1f}"),
        "points": lambda value: _plain(f"{100 * value:+.1f}"),
        "p": lambda value: f"<{_LEAST_P}" if value < _LEAST_P else f"{value:.3f}",
        "bytes": lambda value: f"{value / _GIB:.2f}",
        "seconds": lambda value: f"{value:.{places}f}",
        "count": lambda value: f"{value:,.0f}" if value == round(value) else f"{value:,.1f}",
        "signed": lambda value: _general(value, "+"),
    }
    units: Mapping[Kind, str] = {"bytes": "GiB", "seconds": "s"}
    return writers.get(kind, _general), units.get(kind, "")


def _general(value: float, sign: str = "") -> str:
    size = abs(value)
    if size >= 10_000:
        return f"{value:{sign},.0f}"
    return "0" if value == 0 else f"{value:{sign}.3g}" if size < 1000 else f"{value:{sign}.0f}"


def _plain(text: str) -> str:
    """Drop the sign of what rounds to nothing: a difference of +0.0 is no gain."""
    return text.lstrip("+-") if float(text) == 0 else text


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return None


def _words(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
