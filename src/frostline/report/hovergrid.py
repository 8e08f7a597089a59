"""Panels side by side in Plotly's JSON: where each lies, its title, and the names of its axes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Grid:
    """Builds the `layout` of a grid of panels, filled from the upper left.

    Attributes:
        rows, columns: of the grid.
        gap: between two panels, across and down, as shares of the whole.
        layout: what has been built so far.
    """

    rows: int
    columns: int
    gap: tuple[float, float] = (0.03, 0.08)
    layout: dict[str, Any] = field(default_factory=lambda: {"showlegend": False, "annotations": []})

    def add(self, row: int, column: int, title: str) -> str:
        """Add a panel.

        Args:
            row, column: from 0, at the top and on the left.
            title: above it; Plotly reads it as HTML, so tags in it are taken apart.

        Returns:
            What its axes are called after `x` and `y`: nothing, `2`, `3`, ...
        """
        number = row * self.columns + column + 1
        axis = "" if number == 1 else str(number)
        across, down = self.gap
        width, height = (1 + across) / self.columns, (1 + down) / self.rows
        x, top = column * width, 1 - row * height
        self.layout[f"xaxis{axis}"] = {"domain": [x, min(1.0, x + width - across)], "anchor": f"y{axis}"}
        self.layout[f"yaxis{axis}"] = {"domain": [max(0.0, top - height + down), top], "anchor": f"x{axis}"}
        place = {"x": x, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        self.layout["annotations"].append({"text": f"<b>{plain(title)}</b>", "showarrow": False, **place})
        return axis

    def x(self, axis: str) -> dict[str, Any]:
        """Return the horizontal axis of a panel, to be changed."""
        found: dict[str, Any] = self.layout[f"xaxis{axis}"]
        return found

    def y(self, axis: str) -> dict[str, Any]:
        """Return the vertical axis of a panel, to be changed."""
        found: dict[str, Any] = self.layout[f"yaxis{axis}"]
        return found

    def name(self, row: int, column: int) -> str:
        """Name the horizontal axis of a panel as other axes refer to it."""
        number = row * self.columns + column + 1
        return "x" if number == 1 else f"x{number}"

    @staticmethod
    def axes(axis: str) -> dict[str, str]:
        """Say in which panel a trace is drawn."""
        return {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}


def plain(text: str) -> str:
    """Take the tags out of a text that Plotly would read as HTML: names of arms and classes are any text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
