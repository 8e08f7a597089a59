from __future__ import annotations

import pytest

from frostline.report import drawing
from frostline.report.canvas import blank_figure
from frostline.report.drawing import draw, draw_all
from frostline.report.model import Chart


def chart(number: int) -> Chart:
    def drawn():
        figure = blank_figure(2, 2)
        figure.subplots().plot([0, number], [1, number])
        return figure

    return Chart(f"c{number}", "answer", f"Chart {number}", "A line.", drawn)


@pytest.mark.parametrize("child", ["works", "dies"])
def test_charts_written_on_all_cores_are_those_written_one_by_one(child: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "usable_cores", lambda: 3)
    if child == "dies":
        monkeypatch.setattr(drawing, "_send", lambda share, sender: None)
    charts = [chart(number) for number in range(10)]
    told: list[tuple[int, int]] = []
    together = draw_all(charts, lambda done, total: told.append((done, total)))
    assert [one.name for one in together] == [one.name for one in charts]
    assert [(one.svg, one.png) for one in together] == [(one.svg, one.png) for one in map(draw, charts)]
    assert told[-1] == (20, 20)
