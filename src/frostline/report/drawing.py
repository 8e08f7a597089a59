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
_SHARE = 2  # figures that a process writes
_PATIENCE = 60.0  # seconds, for those


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
    threads of its own, which do not survive a fork. Children write the first ones while the last are still being built.
    A child that fails or hangs is replaced by this process.

    Args:
        charts: in order.
        advance: told how many are done, of how many.
    """
    most = usable_cores() - 1 if sys.platform == "linux" and len(charts) >= _ENOUGH else 0
    files: dict[str, tuple[bytes, bytes]] = {}
    waiting: list[tuple[str, Figure]] = []
    children: list[_Child] = []
    for built, chart in enumerate(charts, 1):
        waiting.append((chart.name, _figure(chart)))
        if len(waiting) >= _SHARE:
            _hand_over(waiting, children, most, files)
        advance(built + len(files), 2 * len(charts))
    while waiting:
        if len(waiting) > _SHARE:
            _hand_over(waiting, children, most, files)
        name, figure = waiting.pop()
        files[name] = _rendered(name, figure)
        advance(len(charts) + len(files), 2 * len(charts))
    for child in children:
        files |= child.files()
        advance(len(charts) + len(files), 2 * len(charts))
    return [_finished(chart, *files[chart.name]) for chart in charts]


def _hand_over(
    waiting: list[tuple[str, Figure]], children: list[_Child], most: int, files: dict[str, tuple[bytes, bytes]]
) -> None:
    """Take in what children have written, and give figures that wait to a new one, if there may be one more."""
    for child in [one for one in children if one.receiver.poll()]:
        files |= child.files()
        children.remove(child)
    if len(children) < most:
        share, waiting[:_SHARE] = waiting[:_SHARE], []
        children.append(_started(share))


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


@dataclass(frozen=True)
class _Child:
    """A process that writes some figures."""

    share: Sequence[tuple[str, Figure]]
    process: BaseProcess
    receiver: Connection

    def files(self) -> dict[str, tuple[bytes, bytes]]:
        """Wait for the files, and write here those that do not come."""
        got = _received(self.receiver) or {}
        self.process.kill()
        self.process.join()
        self.receiver.close()
        return {name: got[name] if name in got else _rendered(name, figure) for name, figure in self.share}


def _started(share: Sequence[tuple[str, Figure]]) -> _Child:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(share, sender), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: see `draw_all`
        child.start()
    sender.close()
    return _Child(share, child, receiver)


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
