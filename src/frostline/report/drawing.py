"""Charts drawn once, as the bytes of their files and as what the page holds."""

from __future__ import annotations

import base64
import io
import multiprocessing
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import matplotlib

from frostline.analysis.blocks import usable_cores
from frostline.report.model import Chart, Section
from frostline.report.style import DPI, STYLE

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from matplotlib.figure import Figure

_ENOUGH = 8  # charts; fewer are not worth a process
_PATIENCE = 120.0  # seconds, for the half of the figures that another process writes


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
    return _finished(chart, *_rendered(chart.name, _figure(chart)))


def draw_all(charts: Sequence[Chart], advance: Callable[[int, int], None] = lambda *_: None) -> list[Drawn]:
    """Draw charts, their files written on all cores where the system can fork.

    A child gets figures that are built already and does nothing but write them: what the figures were built from has
    threads of its own, which do not survive a fork. A child that fails or hangs is replaced by this process.

    Args:
        charts: in order.
        advance: told how many are done, of how many.
    """
    figures = []
    for chart in charts:
        figures.append((chart.name, _figure(chart)))
        advance(len(figures), 2 * len(charts))
    cores = usable_cores() if sys.platform == "linux" else 1
    shares = [figures[start::cores] for start in range(cores)] if len(charts) >= _ENOUGH else [figures]
    children = [(share, *_started(share)) for share in shares[1:] if share]
    files: dict[str, tuple[bytes, bytes]] = {}
    for share, child, receiver in [(shares[0], None, None), *children]:
        got = None if receiver is None else _received(receiver)
        for name, figure in share:
            files[name] = got[name] if got is not None and name in got else _rendered(name, figure)
            advance(len(charts) + len(files), 2 * len(charts))
        if child is not None:
            child.kill()
            child.join()
    return [_finished(chart, *files[chart.name]) for chart in charts]


def _figure(chart: Chart) -> Figure:
    with matplotlib.rc_context(STYLE):
        return chart.draw()


def _rendered(name: str, figure: Figure) -> tuple[bytes, bytes]:
    """Give the bytes of the SVG and of the PNG file."""
    # Without the salt and with a date, the same numbers would make another file every time.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        png, svg = io.BytesIO(), io.BytesIO()
        # Level 2 takes a third of the time of the default and a tenth more bytes.
        figure.savefig(png, format="png", dpi=DPI, pil_kwargs={"compress_level": 2})
        figure.set_layout_engine("none")  # it stays as it is laid out: doing that again takes most of the time
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return svg.getvalue(), png.getvalue()


def _finished(chart: Chart, svg: bytes, png: bytes) -> Drawn:
    interactive = chart.interactive() if chart.interactive is not None else None
    return Drawn(chart.name, chart.section, chart.title, chart.caption, svg, png, interactive)


def _started(share: Sequence[tuple[str, Figure]]) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(share, sender), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: see `draw_all`
        child.start()
    sender.close()
    return child, receiver


def _send(share: Sequence[tuple[str, Figure]], sender: Connection) -> None:
    sender.send({name: _rendered(name, figure) for name, figure in share})


def _received(receiver: Connection) -> dict[str, tuple[bytes, bytes]] | None:
    try:
        if not receiver.poll(_PATIENCE):
            return None
        got: dict[str, tuple[bytes, bytes]] = receiver.recv()
    except (EOFError, OSError):
        return None
    return got
