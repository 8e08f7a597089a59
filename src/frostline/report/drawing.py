"""Charts drawn once, as the bytes of their files and as what the page holds."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import matplotlib

from frostline.report.model import Chart, Section
from frostline.report.style import DPI, STYLE


@dataclass(frozen=True)
class Drawn:
    """A chart that has been drawn.

    Attributes:
        name: file stem.
        section: where on the page it stands.
        title: what it shows.
        caption: how to read it, and where its numbers are from.
        svg: the file figures/<name>.svg.
        png: the file figures/<name>.png.
        interactive: Plotly's data and layout, None for a chart that has no such form.
    """

    name: str
    section: Section
    title: str
    caption: str
    svg: bytes = field(repr=False)
    png: bytes = field(repr=False)
    interactive: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def source(self) -> str:
        """The smaller of the two files as a data URI."""
        kind, data = min(("svg+xml", self.svg), ("png", self.png), key=lambda item: len(item[1]))
        return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def draw(chart: Chart) -> Drawn:
    """Draw a chart in the look of all figures, each file from the same drawing."""
    # Without the salt and with a date, the same numbers would make another file every time.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": chart.name}):
        figure = chart.draw()
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI)
        figure.set_layout_engine("none")  # it stays as it is laid out: doing that again takes most of the time
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return Drawn(
        chart.name,
        chart.section,
        chart.title,
        chart.caption,
        svg.getvalue(),
        png.getvalue(),
        chart.interactive() if chart.interactive is not None else None,
    )
