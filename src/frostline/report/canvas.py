"""What every figure begins and ends with: a blank page in the project's look, and its file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextToPath

from frostline.errors import InputError
from frostline.files import written_beside
from frostline.report.style import DPI, STYLE

FORMATS = (".png", ".svg", ".pdf")


def check_format(out: Path) -> None:
    """Make sure, before the work, that a figure can be written under such a name.

    Raises:
        InputError: the suffix is none of `FORMATS`.
    """
    if out.suffix.lower() not in FORMATS:
        raise InputError(f"{out}: expected a name that ends in {', '.join(FORMATS)}")


def blank_figure(width: float, height: float, dpi: float = DPI, pad: float = 0.1, space: float = 0.02) -> Figure:
    """Make an empty figure with a canvas of its own, so that no state is shared between two figures.

    Args:
        width, height: in inches.
        dpi: of the file, where it has pixels.
        pad: inches around every panel.
        space: further room between panels, as a share of a panel's size.
    """
    figure = Figure(figsize=(width, height), dpi=dpi)
    FigureCanvasAgg(figure)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=pad, h_pad=pad, wspace=space, hspace=space))
    return figure


def free_figure(width: float, height: float) -> Figure:
    """Make an empty figure whose panels lie where `panel` puts them: with many panels a layout takes seconds.

    Args:
        width, height: in inches.
    """
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add a panel to a `free_figure`.

    Args:
        figure: it.
        left, top: of the panel's upper left corner, in inches from that of the figure.
        width, height: of the panel without its labels, in inches.
    """
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def note(figure: Figure, text: str, left: float, top: float, size: float = 8, **look: Any) -> None:
    """Write into a `free_figure`, down from a point that is given in inches from its upper left corner."""
    across, down = figure.get_size_inches()
    look = {"color": "#555555", "va": "top"} | look
    figure.text(left / across, 1 - top / down, text, fontsize=size, **look)


def text_width(texts: Iterable[str], size: float) -> float:
    """Measure the longest of some texts, in inches.

    Args:
        texts: of one line each.
        size: of the font, in points.
    """
    font = FontProperties(family="DejaVu Sans", size=size)  # that of STYLE
    measure = TextToPath().get_text_width_height_descent
    return max((measure(text, font, ismath=False)[0] for text in texts), default=0.0) / 72


def save_figure(figure: Figure, out: Path) -> Path:
    """Write a figure in the format that its name asks for.

    Args:
        figure: it.
        out: the file; its suffix (.png, .svg or .pdf) chooses the format. Its folder is made if missing.

    Returns:
        `out`.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    check_format(out)
    try:
        with matplotlib.rc_context(STYLE), written_beside(out) as beside:
            if figure.get_layout_engine() is not None:  # once: a figure in two formats would be laid out twice
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
            figure.savefig(beside, format=out.suffix.lower()[1:])
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from None
    return out


def shortened(name: str, longest: int = 28) -> str:
    """Leave out the middle of a name that is too long to be drawn."""
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-((longest - 1) // 2) :]}"
