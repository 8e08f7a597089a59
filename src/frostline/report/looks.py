"""How an arm looks on the page: a short stroke with its colour, dash and marker, as in every figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frostline.report.palette import arm_styles

# Matplotlib's markers as SVG paths around (14, 7).
_PATHS: Mapping[str, str] = {
    "o": "M10 7a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "s": "M10.5 3.5h7v7h-7z",
    "^": "M14 2.5l4.5 8h-9z",
    "v": "M14 11.5l4.5 -8h-9z",
    "<": "M9.5 7l8 -4.5v9z",
    ">": "M18.5 7l-8 -4.5v9z",
    "D": "M14 2.2l4.8 4.8l-4.8 4.8l-4.8 -4.8z",
    "P": "M12.5 2.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "X": "M11 2.5l3 2.6l3 -2.6l1.9 1.9l-2.6 2.6l2.6 2.6l-1.9 1.9l-3 -2.6l-3 2.6l-1.9 -1.9l2.6 -2.6l-2.6 -2.6z",
    "p": "M14 2.4l4.8 3.5l-1.8 5.6h-6l-1.8 -5.6z",
}


@dataclass(frozen=True)
class ArmLook:
    """An arm's name and what draws its sign.

    Attributes:
        name: the arm.
        colour: as #RRGGBB, for a light page; the page's script makes it lighter on a dark one.
        dashes: SVG's stroke-dasharray, empty for a solid line.
        marker: an SVG path in a box of 28 x 14.
    """

    name: str
    colour: str
    dashes: str
    marker: str


def arm_looks(arms: Sequence[str]) -> dict[str, ArmLook]:
    """Give the look of every arm, the same as `palette.arm_styles` has in figures."""
    return {
        name: ArmLook(name, style.colour, " ".join(f"{2 * length:g}" for length in style.dash), _PATHS[style.marker])
        for name, style in arm_styles(arms).items()
    }
