from __future__ import annotations

import json
import logging
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fake_report import CLASSES, fake_page, main_table
from frostline.report import page as page_module
from frostline.report.drawing import draw
from frostline.report.model import Column, Table
from frostline.report.page import Notice, PageModel, render_page, write_page
from frostline.report.pagetable import html_table
from frostline.report.templating import script_json, typeset


class Reader(HTMLParser):
    """Reads tags with their attributes, and all text but scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(fake_page())


def test_the_verdict_comes_first_and_every_part_is_in_the_contents(html: str) -> None:
    reader = Reader(html)
    places = [attributes.get("id") for tag, attributes in reader.tags if tag in ("header", "section")]
    shown = [place for place in places if place]
    parts = ["answer", "diagnoses", "curves", "classes", "errors", "gradients", "methods", "provenance"]
    assert shown == ["verdict", *parts]
    links = [
        attributes["href"] for tag, attributes in reader.tags if tag == "a" and attributes.get("href") != "#verdict"
    ]
    assert links == [f"#{place}" for place in shown[1:]]
    order = [
        reader.text.index(part) for part in ("gains 2.1 points", "Caution", "Note", "against baseline", "momentum")
    ]
    assert order == sorted(order)


def test_the_page_holds_all_it_needs(html: str) -> None:
    outside = {"http:", "https:", "//", "file:"}
    for tag, attributes in Reader(html).tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name) or "#"
            assert value[0] == "#" or value.startswith("data:"), (tag, name, value[:80])
        assert tag not in {"iframe", "object", "embed", "base"}
    css = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "url(" not in css and "@import" not in css and not any(f'"{start}' in css for start in outside)
    assert "default-src 'none'" in html  # and a browser would refuse what slipped through


def test_plotly_is_in_the_page_once_and_only_where_a_chart_needs_it() -> None:
    page = fake_page()
    assert render_page(page).count("plotly.js v") == 1
    still = [chart for chart in page.charts if chart.interactive is None]
    assert still and "plotly.js v" not in render_page(fake_page(charts=still))


def test_names_are_text_wherever_they_stand() -> None:
    bad = "<script>alert(1)</script>"
    page = fake_page(
        title=bad, headline=bad, sentences=(bad,), arms=(bad, "b"), subtitle=bad, notices=(Notice("error", bad),),
        methods={bad: {bad: [bad, {bad: bad}]}}, provenance={bad: bad},
        main=Table("x", bad, pl.DataFrame({"arm": [bad]}), (Column("arm", bad, source=bad),), note=bad),
    )  # fmt: skip
    html = render_page(page)
    assert "<script>alert" not in html
    reader = Reader(html)
    # Title twice, headline, sentence, subtitle, notice, chip; the table's title, head, cell, note, source twice;
    # 5 in the methods, 2 in provenance, and a class in a table.
    assert reader.text.count(bad) == 21
    assert [tag for tag, attributes in reader.tags if attributes.get("data-arm") == bad] == ["button", "tr"]


@given(st.text() | st.lists(st.floats()) | st.dictionaries(st.text(), st.text()))
@example("</script><script>alert(1)</script>")
@example("<!--<script>")
@example("\u2028")
def test_json_in_a_script_ends_no_script_and_reads_back(value: object) -> None:
    text = str(script_json(value))
    assert not re.search("[<>&'\u2028\u2029]", text)
    if not isinstance(value, list):
        assert json.loads(text) == value


def test_json_takes_numpy_and_turns_nan_to_null() -> None:
    value = {"y": np.array([1.5, np.nan]), "n": np.int64(3), "t": (np.float32(0.5),)}
    assert json.loads(script_json(value)) == {"y": [1.5, None], "n": 3, "t": [0.5]}


def test_cells_carry_raw_values_and_rows_their_arm() -> None:
    html = str(html_table(main_table()))
    reader = Reader(html)
    rows = [attributes["data-arm"] for tag, attributes in reader.tags if tag == "tr" and "data-arm" in attributes]
    assert rows == main_table().frame.get_column("arm").to_list()
    values = [attributes["data-value"] for _, attributes in reader.tags if "data-value" in attributes]
    assert values[:5] == ["baseline", "3", "0.381", "", ""] and values[len(values) // 7 + 3] == "0.013"


def test_a_whisker_stands_where_its_numbers_say() -> None:
    frame = pl.DataFrame({"arm": ["a", "b"], "d": [0.0, 0.1], "low": [-0.1, 0.05], "high": [0.1, 0.3]})
    table = Table("t", "", frame, (Column("arm", "arm"), Column("d", "d", "points", "low", "high")))
    html = str(html_table(table, whiskers=True))
    drawn = re.findall(r'M([\d.]+) 11H([\d.]+)"/><circle( class="open")? cx="([\d.]+)"', html)
    places = [(float(low), float(high), bool(hollow), float(value)) for low, high, hollow, value in drawn]
    # from 5 to 79 pixels, -0.1 to 0.3; zero is a quarter on
    assert places == [(5.0, 42.0, True, 23.5), (32.8, 79.0, False, 42.0)]
    assert 'd="M23.5 0v22"' in html
    assert "whisker" not in str(html_table(table))


def test_a_long_table_is_folded() -> None:
    frame = pl.DataFrame({"arm": [str(index) for index in range(60)]})
    html = str(html_table(Table("t", "", frame, (Column("arm", "arm"),))))
    assert "Show all 60 rows" in html and html.count("<tr") == 61
    assert "Show all" not in str(html_table(Table("t", "", frame.head(9), (Column("arm", "arm"),))))


def test_a_line_breaks_within_no_number() -> None:
    assert typeset("57 % of <b>") == '5<span class="whole">7 %</span> of &lt;b&gt;'
    assert typeset("(-0.2 to +2.8)") == "(\N{MINUS SIGN}0.2 to +2.8)" and typeset("layers 0-2") == "layers 0-2"


def test_of_svg_and_png_the_page_takes_the_smaller() -> None:
    charts = {chart.name: chart for chart in fake_page().charts}
    for chart in charts.values():
        kind = "svg+xml" if len(chart.svg) < len(chart.png) else "png"
        assert chart.source.startswith(f"data:image/{kind};base64,")
    assert charts["errors"].svg.startswith(b"<?xml") and charts["errors"].png.startswith(b"\x89PNG")


def test_a_chart_is_drawn_the_same_every_time() -> None:
    from fake_report import error_chart

    one, two = draw(error_chart()), draw(error_chart())
    assert one.svg == two.svg and one.png == two.png


def test_a_page_with_nothing_but_an_answer_is_a_page(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    write_page(PageModel("empty", "Nothing is known yet"), path)
    html = path.read_text(encoding="utf-8")
    assert len(html) < 60_000 and "Nothing is known yet" in html and 'class="chips"' not in html


def test_a_page_too_large_to_send_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "LARGEST", 1000)
    with caplog.at_level(logging.WARNING):
        write_page(PageModel("x", "y"), tmp_path / "index.html")
    assert "MB" in caplog.text


def test_templates_and_static_files_are_in_the_package() -> None:
    root = files("frostline.report")
    for name in ("templates/page.html.j2", "templates/table.html.j2", "static/page.css", "static/page.js"):
        assert (root / name).is_file()


def test_a_class_named_like_a_script_is_text(html: str) -> None:
    assert CLASSES[-1] in Reader(html).text and CLASSES[-1] not in html


def test_a_chart_without_hovering_is_only_a_picture(html: str) -> None:
    live = [attributes.get("data-chart") for _, attributes in Reader(html).tags if "data-chart" in attributes]
    assert live == ["answer", "learning", "errors"]


def test_long_details_and_lists_wait_to_be_asked_for(html: str) -> None:
    folds = re.findall(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", html, re.DOTALL)
    assert [summary for summary, _ in folds] == ["3 more", "19 values"]
    assert "seed 2" not in folds[0][1] and "seed 3" in folds[0][1] and folds[1][1].count("<li>") == 19
