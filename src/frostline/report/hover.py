"""Parts of Plotly figures as plain dictionaries: the report's page draws them, Python never imports Plotly.

Names are text of people: escaped here, as Plotly reads tags in them. A trace of an arm has the arm in `meta`, so that
the page can show and hide it in all figures at once.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from frostline.report.palette import ArmStyle

_SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
            "X": "x", "<": "triangle-left", "p": "pentagon", ">": "triangle-right"}  # fmt: skip
Trace = dict[str, Any]


def numbers(values: Iterable[Any]) -> list[Any]:
    """Give plain numbers of five digits for JSON; None where there is none."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{value:.5g}") for value in map(_plain, values)
    ]


def _plain(value: Any) -> float | None:
    return None if value is None else float(value)


def line(arm: str, style: ArmStyle, x: Iterable[Any], y: Iterable[Any], hover: str, **more: Any) -> Trace:
    """Make a line of an arm.

    Args:
        arm: its name.
        style: its look.
        x, y: values.
        hover: Plotly's template for what stands under the arm's name.
        more: of the trace: `axes` (the number of the panel, from 1) or any of Plotly's own keys.
    """
    dash = ",".join(f"{2 * part:g}px" for part in style.dash) or "solid"
    look = {"mode": "lines", "line": {"color": style.colour, "width": 2, "dash": dash}}
    return _trace(arm, x, y, hover, look, more)


def points(
    arm: str, style: ArmStyle, x: Iterable[Any], y: Iterable[Any], hover: str, size: float = 9, **more: Any
) -> Trace:
    """Make points of an arm; arguments as in `line`, `size` in pixels."""
    look = {"mode": "markers", "marker": {"color": style.colour, "symbol": symbol(style), "size": size}}
    return _trace(arm, x, y, hover, look, more)


def bars(arm: str, style: ArmStyle, x: Iterable[Any], y: Iterable[Any], hover: str, **more: Any) -> Trace:
    """Make horizontal bars of an arm; arguments as in `line`."""
    look = {"type": "bar", "orientation": "h", "marker": {"color": style.colour, "opacity": 0.75}}
    return _trace(arm, x, y, hover, look, more)


def band(
    arm: str,
    style: ArmStyle,
    x: Sequence[Any],
    low: Sequence[Any],
    high: Sequence[Any],
    shade: float = 0.15,
    **more: Any,
) -> Trace:
    """Make the band of an arm from `low` to `high`; `shade` is how dense it is, in [0, 1]."""
    look = {
        "mode": "lines", "fill": "toself", "fillcolor": faint(style.colour, shade), "line": {"width": 0},
        "hoverinfo": "skip",
    }  # fmt: skip
    trace = _trace(arm, [*x, *list(x)[::-1]], [*low, *list(high)[::-1]], "", look, more)
    del trace["hovertemplate"]
    return trace


def symbol(style: ArmStyle) -> str:
    """Give Plotly's name of an arm's marker."""
    return _SYMBOLS.get(style.marker, "circle")


def faint(colour: str, share: float = 0.15) -> str:
    """Give a colour that lets through what is behind it."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def free_sides(places: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[str]:
    """Choose on which side of its point each label stands, so that it hides few others.

    Args:
        places: of the points, in any unit.
        labels: of the points.

    Returns:
        Plotly's `textposition` of each.
    """
    sides = {
        "top center": (0.0, 1.0),
        "bottom center": (0.0, -1.0),
        "middle right": (1.0, 0.0),
        "middle left": (-1.0, 0.0),
    }
    spans = [max(axis) - min(axis) or 1.0 for axis in zip(*places, strict=True)]
    spots = [(x / spans[0], y / spans[1]) for x, y in places]
    taken: list[tuple[float, float, float]] = [(x, y, 0.015) for x, y in spots]  # centre and half a width
    chosen = []
    for (x, y), text in zip(spots, labels, strict=True):
        half = 0.0035 * len(text) + 0.004  # of a figure about a thousand pixels wide
        spots_around = [(x + right * (half + 0.012), y + up * 0.045) for right, up in sides.values()]
        hidden = [
            sum(abs(across - a) < half + wide and abs(upward - b) < 0.05 for a, b, wide in taken)
            for across, upward in spots_around
        ]
        best = hidden.index(min(hidden))
        taken.append((*spots_around[best], half))
        chosen.append(list(sides)[best])
    return chosen


def interval(values: Iterable[Any], lows: Iterable[Any], highs: Iterable[Any]) -> dict[str, Any]:
    """Make error bars that reach from `low` to `high`; none where they are unknown."""
    rows = list(zip(values, lows, highs, strict=True))
    up = [None if high is None else high - value for value, _, high in rows]
    down = [None if low is None else value - low for value, low, _ in rows]
    return {"type": "data", "symmetric": False, "array": numbers(up), "arrayminus": numbers(down), "thickness": 1.5}


def written(text: str) -> str:
    """Escape a text that Plotly would read tags in."""
    return html.escape(text, quote=False)


def spoken(text: str) -> str:
    """Escape a text for a template of what is told under the pointer, where a brace after a percent sign is read."""
    return written(text).replace("{", "&#123;").replace("%", "&#37;")


def panels(
    titles: Sequence[str], columns: int, *, x: Mapping[str, Any] | None = None, y: Mapping[str, Any] | None = None,
    gap: tuple[float, float] = (0.07, 0.14), height: int = 280, shared: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Lay out panels in rows and columns: axes `x`, `x2`, ... from the upper left.

    Args:
        titles: of the panels, as they are: they are escaped here.
        columns: panels in a row.
        x, y: what all their axes have; titles stay at the lowest and the leftmost panels alone.
        gap: between columns and between rows, as a share of the figure.
        height: of a row, pixels.
        shared: all panels have the axes of the first: zooming one zooms all.

    Returns:
        Plotly's layout.
    """
    columns = max(1, min(columns, len(titles)))
    rows = math.ceil(len(titles) / columns)
    wide = (1 - gap[0] * (columns - 1)) / columns
    high_gap = gap[1] * min(1.0, 2 / rows)
    high = (1 - high_gap * (rows - 1)) / rows
    layout: dict[str, Any] = {"annotations": [], "hovermode": "closest", "height": height * rows + 120,
                              "margin": {"l": 60, "r": 20, "t": 40, "b": 50}}  # fmt: skip
    for index, title in enumerate(titles):
        row, column = divmod(index, columns)
        left, top = column * (wide + gap[0]), 1 - row * (high + high_gap)
        number = "" if index == 0 else str(index + 1)
        across = {**(x or {}), "domain": numbers([left, left + wide]), "anchor": f"y{number}"}
        upward = {**(y or {}), "domain": numbers([max(top - high, 0), top]), "anchor": f"x{number}"}
        if index + columns < len(titles):
            across.pop("title", None)
        if column:
            upward.pop("title", None)
        layout[f"xaxis{number}"] = across | ({"matches": "x"} if shared and index else {})
        layout[f"yaxis{number}"] = upward | ({"matches": "y"} if shared and index else {})
        layout["annotations"].append(
            {"text": f"<b>{written(title)}</b>", "x": left, "y": top, "xref": "paper", "yref": "paper",
             "xanchor": "left", "yanchor": "bottom", "showarrow": False}
        )  # fmt: skip
    return layout


def _trace(
    arm: str, x: Iterable[Any], y: Iterable[Any], hover: str, look: Mapping[str, Any], more: Mapping[str, Any]
) -> Trace:
    rest = dict(more)
    panel = rest.pop("axes", 1)
    number = "" if panel == 1 else str(panel)
    xs, ys = list(x), list(y)
    return {
        "type": "scatter",
        "name": written(arm),
        "legendgroup": written(arm),
        "x": xs if any(isinstance(value, str) for value in xs) else numbers(xs),
        "y": ys if any(isinstance(value, str) for value in ys) else numbers(ys),
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
        "showlegend": False,
        # The name through Plotly's own field: a template would read a brace in it.
        "hovertemplate": f"<b>%{{fullData.name}}</b><br>{hover}<extra></extra>",
        "meta": {"arm": arm},
        **look,
        **rest,
    }  # fmt: skip
