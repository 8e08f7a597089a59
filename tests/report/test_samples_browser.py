"""The divider of the sample sheet in a real browser. Skips without Playwright or without a Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from frostline.analysis import find_runs
from frostline.analysis.evidence import gather
from frostline.report.samplepage import samples_html
from frostline.report.samples import gather_samples
from frostline.report.templating import static
from sample_runs import LEFT, LOW, RIGHT, dataset, predictions, run

pytestmark = pytest.mark.browser

STAGE, HANDLE = ".fl-samples-stage", ".fl-samples-handle"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>body{{margin:16px;font-family:sans-serif}} {css}</style><body>{html}<script>{js}</script></body></html>"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images; on c.png the second arm misses a car and invents two persons."""
    import numpy as np

    folder = tmp_path_factory.mktemp("sheet")
    pictures = {f"{name}.png": np.full((80, 100, 3), 60 * (at + 1), np.uint8) for at, name in enumerate("abc")}
    data = dataset(folder / "data", pictures)
    truths = [(0, LEFT), (0, RIGHT)]
    both = [(0, LEFT, 0.9), (0, RIGHT, 0.8)]
    wrong = [(1, LOW, 0.9), (1, (11.0, 51.0, 40.0, 72.0), 0.85)]
    for arm, found in (("baseline", both), ("deep", [both[0], *wrong])):
        table = {"a.png": (truths, both), "b.png": (truths, both), "c.png": (truths, found)}
        run(folder / "study", arm, data, predictions(table))
    view = gather_samples(gather(find_runs([folder / "study"]), draws=100))
    path = folder / "page.html"
    path.write_text(PAGE.format(css=static("samples.css"), html=samples_html(view), js=static("samples.js")))
    return path


@pytest.fixture
def page(browser: Any, html: Path) -> Iterator[Any]:
    yield from opened(browser, html, width=1000, height=800)


@pytest.fixture
def phone(browser: Any, html: Path) -> Iterator[Any]:
    yield from opened(browser, html, width=360, height=740, touch=True)


def opened(browser: Any, html: Path, width: int, height: int, touch: bool = False) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch)
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(html.as_uri())
    page.wait_for_selector(f"{STAGE} g")
    yield page
    assert [url for url in asked if not url.startswith("data:")] == [html.as_uri()]
    assert errors == []
    context.close()


def cut(page: Any) -> int:
    return int(page.get_attribute(HANDLE, "aria-valuenow"))


def at(page: Any, share: float) -> tuple[float, float]:
    box = page.locator(STAGE).bounding_box()
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def boxes(page: Any, side: str) -> list[str]:
    """Return the kinds of the boxes drawn on a side."""
    lines = page.locator(f'.fl-samples-side[data-side="{side}"] g .line')
    kinds = lines.evaluate_all("lines => lines.map(line => line.getAttribute('class').split(' ')[1])")
    return sorted(kinds)


def test_the_mouse_drags_the_divider_and_the_picture_is_cut_there(page: Any) -> None:
    assert cut(page) == 50
    page.mouse.move(*at(page, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 0.4))
    page.mouse.move(*at(page, 0.25))
    page.mouse.up()
    assert cut(page) == 25
    page.mouse.move(*at(page, 0.9))  # let go
    assert cut(page) == 25
    page.mouse.click(*at(page, 0.7))  # without a move, it jumps there
    assert cut(page) == 70
    page.mouse.click(*at(page, 0.25))
    clips = [
        page.locator(f'.fl-samples-side[data-side="{side}"]').evaluate("side => getComputedStyle(side).clipPath")
        for side in "ab"
    ]
    assert "75%" in clips[0]
    assert clips[1] == "inset(0px 0px 0px 25%)"
    box, stage = page.locator(".fl-samples-cut").bounding_box(), page.locator(STAGE).bounding_box()
    assert box["x"] + 1 == pytest.approx(stage["x"] + 0.25 * stage["width"], abs=1.5)


def test_keys_move_the_divider(page: Any) -> None:
    page.focus(HANDLE)
    steps = {
        "ArrowRight": 52,
        "ArrowLeft": 50,
        "Shift+ArrowLeft": 40,
        "PageUp": 50,
        "End": 100,
        "ArrowUp": 100,
        "Home": 0,
    }
    for key, expected in steps.items():
        page.keyboard.press(key)
        assert cut(page) == expected, key
    assert page.get_attribute(HANDLE, "aria-valuetext") == "0 % baseline, the rest deep"


def test_a_finger_drags_the_divider(phone: Any) -> None:
    touch = phone.context.new_cdp_session(phone)

    def send(kind: str, share: float | None) -> None:
        points = [] if share is None else [dict(zip("xy", at(phone, share), strict=True))]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    phone.locator(STAGE).scroll_into_view_if_needed()
    send("touchStart", 0.5)
    for share in (0.55, 0.65, 0.8):
        send("touchMove", share)
    send("touchEnd", None)
    assert cut(phone) == pytest.approx(80, abs=1)


def test_both_sides_show_what_their_lists_choose(page: Any) -> None:
    assert boxes(page, "a") == ["hit", "hit"]
    assert boxes(page, "b") == ["false", "false", "hit", "miss"]
    names = page.locator(".fl-samples-names b")
    assert names.all_inner_texts() == ["baseline", "deep"]
    assert "1 found, 2 false, 1 missed" in page.inner_text('.fl-samples-names [data-side="b"] span')
    page.select_option('select[data-side="a"]', label="ground truth")
    assert boxes(page, "a") == ["truth", "truth"]
    page.click('[data-act="swap"]')
    assert names.all_inner_texts() == ["deep", "ground truth"]
    assert boxes(page, "a") == ["false", "false", "hit", "miss"]


def test_kinds_of_boxes_and_labels_are_switched_off_and_on(page: Any) -> None:
    page.uncheck('input[data-kind="false"]')
    assert boxes(page, "b") == ["hit", "miss"]
    page.uncheck('input[data-kind="miss"]')
    page.uncheck('input[data-kind="hit"]')
    assert boxes(page, "b") == []
    page.check('input[data-kind="miss"]')
    assert boxes(page, "b") == ["miss"]
    assert page.locator(".fl-samples-side text").all_text_contents() == ["Car"]
    page.uncheck('input[data-kind="label"]')
    assert page.locator(".fl-samples-side text").count() == 0


def test_images_are_turned_and_chosen(page: Any) -> None:
    where, strip = page.locator(".fl-samples-turn p"), page.locator(".fl-samples-strip button")
    assert where.inner_text() == "1 of 3: c"
    page.click('[data-act="previous"]')
    assert where.inner_text() == "3 of 3: b"
    assert boxes(page, "b") == ["hit", "hit"]
    page.click('[data-act="next"]')
    assert where.inner_text() == "1 of 3: c"
    strip.nth(1).click()
    assert where.inner_text() == "2 of 3: a"
    assert [strip.nth(at).get_attribute("aria-current") for at in range(3)] == ["false", "true", "false"]


@pytest.mark.parametrize("width", [1000, 360])
def test_labels_stay_within_the_picture_and_apart_and_nothing_is_wider_than_the_page(
    browser: Any, html: Path, width: int
) -> None:
    for page in opened(browser, html, width, 800):
        stage = page.locator(STAGE).bounding_box()
        tags = page.locator('.fl-samples-side[data-side="b"] .tag')
        places = [tags.nth(at).bounding_box() for at in range(tags.count())]
        assert len(places) >= 3
        for one in places:
            assert one["x"] >= stage["x"] - 0.5
            assert one["y"] >= stage["y"] - 0.5
            assert one["x"] + one["width"] <= stage["x"] + stage["width"] + 0.5
            assert one["y"] + one["height"] <= stage["y"] + stage["height"] + 0.5
        for a, b in combinations(places, 2):
            beside = a["x"] + a["width"] <= b["x"] + 0.5 or b["x"] + b["width"] <= a["x"] + 0.5
            assert beside or a["y"] + a["height"] <= b["y"] + 0.5 or b["y"] + b["height"] <= a["y"] + 0.5
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_paper_both_arms_stand_side_by_side_with_their_names(page: Any) -> None:
    page.emulate_media(media="print")
    a, b = (page.locator(f'.fl-samples-side[data-side="{side}"]').bounding_box() for side in "ab")
    assert a["x"] + a["width"] <= b["x"]
    assert a["y"] == b["y"]
    assert a["width"] == pytest.approx(b["width"], abs=1)
    assert not page.locator(HANDLE).is_visible()
    assert page.locator(".fl-samples-names b").all_inner_texts() == ["baseline", "deep"]
