"""One look an arm, kept throughout: a colour, a dash and a marker, told apart by any eye and on any printer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# After Okabe and Ito (2008) and Paul Tol (2021), those that differ most first: with black, the first six are at least
# 18 apart in CIE Lab to the usual eye, deuteranopes, protanopes and tritanopes, and all eleven at least 9.
_COLOURS = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#882255",  # wine
    "#56B4E9",  # sky
    "#D55E00",  # vermilion
    "#332288",  # indigo
    "#888888",  # grey
    "#CC79A7",  # pink
    "#009E73",  # green
    "#6B4226",  # brown
    "#999933",  # olive
)
_BLACK = "#000000"  # the baseline's alone
# The numbers of dashes, markers and colours share no factor but 1: a pair returns after 36 arms at the earliest, and
# a grey print tells arms apart by dash and marker. The baseline is solid, so the solid line comes last.
_DASHES: tuple[tuple[float, ...], ...] = ((6, 1.6), (1.2, 1.4), (7, 1.6, 1.2, 1.6), ())
_MARKERS = ("s", "^", "D", "v", "P", "X", "<", "p", ">")


@dataclass(frozen=True)
class ArmStyle:
    """How an arm is drawn.

    Attributes:
        colour: as #RRGGBB.
        dash: lengths of strokes and gaps in units of the line's width; empty for a solid line.
        marker: Matplotlib's letter for the marker.
    """

    colour: str
    dash: tuple[float, ...]
    marker: str

    @property
    def linestyle(self) -> tuple[int, tuple[float, ...] | None]:
        """The dash as Matplotlib takes it."""
        return (0, self.dash or None)


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """Give each arm its look, by its place among the arms.

    The first arm called `baseline` (alone or in a folder: `a/baseline`) is black, solid and round, and takes no place
    from the others. No two of the first 36 other arms share both dash and marker.

    Args:
        arms: names, in the order of the comparison; repeated ones count once.
    """
    names = list(dict.fromkeys(arms))
    first = next((name for name in names if name.rpartition("/")[2] == "baseline"), None)
    others = (name for name in names if name != first)
    styles = {
        name: ArmStyle(_COLOURS[i % len(_COLOURS)], _DASHES[i % len(_DASHES)], _MARKERS[i % len(_MARKERS)])
        for i, name in enumerate(others)
    }
    return {name: ArmStyle(_BLACK, (), "o") if name == first else styles[name] for name in names}
