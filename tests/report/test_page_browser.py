"""The page in a real browser: nothing is asked for, nothing is wrong, and what can be pressed does what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fake_report import ARMS, CLASSES, fake_page
from frostline.report.page import write_page

pytestmark = pytest.mark.browser
PATIENCE = 120_000  # milliseconds: plotly.js takes seconds to read where many tests share a processor


@dataclass
class Opened:
    """A page, and what happened to it."""

    page: Any
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report") / "index.html"
    write_page(fake_page(), made)
    return made


@pytest.fixture
def show(browser: Any, path: Path) -> Iterator[Any]:
    contexts = []

    def opener(width: int = 1280, height: int = 900, script: str = "", **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if script:
            context.add_init_script(script)
        opened = Opened(context.new_page())
        told = ("error", "warning")
        opened.page.on("console", lambda line: line.type in told and opened.faults.append(line.text))
        opened.page.on("pageerror", lambda error: opened.faults.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.goto(path.as_uri())
        return opened

    yield opener
    for context in contexts:
        context.close()


def wait_for_chart(page: Any, name: str = "learning") -> None:
    page.locator(f"#chart-{name}").scroll_into_view_if_needed()
    page.locator(f"[data-chart={name}] .main-svg").first.wait_for(state="attached")


def until(holds: Callable[[], bool]) -> None:
    """Wait for something on the page; Playwright's own way needs eval, which the page forbids."""
    end = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)


def walk(page: Any) -> None:
    for name in ("answer", "learning", "errors"):
        wait_for_chart(page, name)


def column(page: Any, index: int) -> list[str]:
    return page.locator(f".main-table tbody tr > :nth-child({index})").evaluate_all(
        "cells => cells.map(cell => cell.dataset.value)"
    )


def paper(page: Any) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def shown_arms(page: Any, name: str = "learning") -> set[str]:
    return set(
        page.evaluate(
            "name => document.querySelector(`[data-chart=${name}]`).data"
            ".filter(trace => trace.visible !== false).map(trace => trace.meta.arm)",
            name,
        )
    )


def test_the_page_asks_for_nothing_and_nothing_is_wrong(show: Any, path: Path) -> None:
    opened = show()
    walk(opened.page)
    assert [url for url in opened.requests if not url.startswith("data:")] == [path.as_uri()]
    assert opened.faults == []
    assert opened.page.title() == "freeze-depth"


def test_a_class_named_like_a_script_is_shown_as_text_and_runs_nowhere(show: Any) -> None:
    page = show().page
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    walk(page)
    assert page.locator("#table-classes tbody tr").last.locator("th").inner_text() == CLASSES[-1]
    assert alerts == []


def test_a_column_is_sorted_by_click_and_by_key(show: Any) -> None:
    page = show().page
    head = page.locator(".main-table thead th").nth(3)
    before = column(page, 4)
    numbers = sorted((float(value) for value in before if value), reverse=True)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(value) for value in column(page, 4)[:-1]] == numbers and column(page, 4)[-1] == ""
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(value) for value in column(page, 4)[:-1]] == numbers[::-1] and column(page, 4)[-1] == ""
    head.locator("button").press(" ")
    assert head.get_attribute("aria-sort") is None and column(page, 4) == before
    page.locator(".main-table thead th button").first.click()
    assert column(page, 1) == sorted(ARMS, key=str.lower)


def test_a_chip_hides_its_arm_in_every_chart_and_dims_its_row(show: Any) -> None:
    opened = show()
    page = opened.page
    walk(page)
    chip = page.locator(".chip").nth(2)
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    for name in ("learning", "errors"):
        wait_for_chart(page, name)
        until(lambda name=name: shown_arms(page, name) == set(ARMS) - {ARMS[2]})
    assert page.locator("tr.dim").evaluate_all("rows => rows.map(row => row.dataset.arm)") == [ARMS[2]]
    chip.dblclick()  # alone
    wait_for_chart(page)
    until(lambda: shown_arms(page) == {ARMS[2]})
    page.locator(".chips .all").click()
    until(lambda: shown_arms(page) == set(ARMS))
    assert page.locator("tr.dim").count() == 0 and opened.faults == []


def test_dark_is_the_systems_choice_until_the_reader_chooses_and_is_remembered(show: Any) -> None:
    page = show(color_scheme="dark").page
    assert paper(page) == "rgb(21, 23, 26)"
    page.locator(".theme").click()
    assert paper(page) == "rgb(253, 253, 251)"
    page.reload()
    assert paper(page) == "rgb(253, 253, 251)"
    assert paper(show(color_scheme="light").page) == "rgb(253, 253, 251)"


def test_the_theme_needs_no_storage(show: Any) -> None:
    broken = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError') } })"
    )
    opened = show(color_scheme="light", script=broken)
    opened.page.locator(".theme").click()
    assert paper(opened.page) == "rgb(21, 23, 26)" and opened.faults == []


def test_a_black_line_is_light_on_a_dark_page(show: Any) -> None:
    def colours(page: Any) -> list[str]:
        wait_for_chart(page)
        return page.evaluate(
            "(() => { const plot = document.querySelector('[data-chart=learning]');"
            " return [plot.data[1].line.color, plot._fullLayout.font.color, plot._fullLayout.xaxis.gridcolor] })()"
        )

    page = show(color_scheme="light").page
    line, ink, grid = colours(page)
    assert line == "#000000"
    page.locator(".theme").click()
    until(lambda: colours(page)[0] != line)
    dark_line, dark_ink, dark_grid = colours(page)
    assert dark_line == "rgba(240,240,240,1)" and dark_ink != ink and dark_grid != grid


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_only(show: Any, scheme: str) -> None:
    page = show(width=360, height=740, color_scheme=scheme, is_mobile=True, has_touch=True).page
    walk(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = page.locator(".main-table .scroll").evaluate("box => [box.scrollWidth, box.clientWidth]")
    assert wide[0] > wide[1] > 300  # the table scrolls in its box


def test_paper_has_the_still_figures_and_no_controls(show: Any) -> None:
    page = show(color_scheme="dark").page
    walk(page)
    page.emulate_media(media="print", color_scheme="dark")
    for selector in (".contents", ".chips", ".copies >> nth=0", ".plot >> nth=0"):
        assert not page.locator(selector).is_visible(), selector
    stills = page.locator(".still img")
    assert stills.count() == 4 and all(stills.nth(index).is_visible() for index in range(4))
    assert stills.evaluate_all("images => images.every(image => image.complete && image.naturalWidth > 0)")
    assert paper(page) == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".sources dl").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.locator(".sources dl").first.is_visible()


def test_a_table_can_be_carried_away(show: Any) -> None:
    page = show(permissions=["clipboard-read", "clipboard-write"]).page
    page.locator(".main-table [data-copy=Markdown]").click()
    until(lambda: page.locator(".main-table [role=status]").inner_text() == "copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("| arm | seeds |") and "+2.1 (" in copied


def test_without_scripts_the_figures_are_still_there(show: Any) -> None:
    page = show(java_script_enabled=False).page
    assert page.locator(".still img").first.is_visible() and not page.locator(".chips").is_visible()
