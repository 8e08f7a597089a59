from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frostline.analysis import find_runs
from frostline.analysis.evidence import Evidence, gather
from frostline.report.pictures import WIDTHS, Scan, encode
from frostline.report.samplepage import page_data, samples_html
from frostline.report.samples import Samples, gather_samples
from frostline.report.sampling import Mark
from frostline.report.sheet import draw_sheet, place_labels, samples_charts
from frostline.report.templating import static
from sample_runs import HEIGHT, LEFT, RIGHT, WIDTH, dataset, predictions, run

CAR = 0
TRUTHS = [(CAR, LEFT), (CAR, RIGHT)]
BOTH = [(CAR, LEFT, 0.9), (CAR, RIGHT, 0.8)]
ONE = BOTH[:1]


def grey(value: int = 128) -> NDArray[np.uint8]:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def evidence(folder: Path) -> Evidence:
    return gather(find_runs([folder]), draws=100)


def study(
    folder: Path, names: tuple[str, ...] = ("Car", "Person"), arms: tuple[str, ...] = ("baseline", "deep")
) -> Path:
    """Two arms that agree on a.png and not on b.png."""
    data = dataset(folder / "data", {"a.png": grey(), "b.png": grey()}, names)
    for arm, found in zip(arms, (BOTH, ONE), strict=True):
        table = predictions({"a.png": (TRUTHS, BOTH), "b.png": (TRUTHS, found)}, names)
        run(folder / "study", arm, data, table)
    return folder / "study"


class Page(HTMLParser):
    """Collects tags, text outside of scripts, and scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = self.script = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        if self.tags[-1] == "script" and not self.script:
            self.script = data
        else:
            self.text += data


def test_the_images_where_arms_disagree_come_first_with_what_each_arm_does_there(tmp_path: Path) -> None:
    view = gather_samples(evidence(study(tmp_path)), count=1)
    assert [one.name for one in view.samples] == ["b"]
    assert [[mark.kind for mark in marks] for marks in view.samples[0].marks] == [["hit", "hit"], ["miss", "hit"]]
    assert view.shown == ("baseline", "deep")
    assert "the 1 of 2 validation images" in view.how
    assert "Seed 0, the lowest that all arms have" in view.how
    both = gather_samples(evidence(tmp_path / "study"))
    assert [one.name for one in both.samples] == ["b", "a"]


def test_names_from_outside_cannot_become_markup(tmp_path: Path) -> None:
    evil = '</script><img src=x onerror=alert(1)>&"'
    arm = "a<b onclick='alert(2)'>"
    folder = study(tmp_path, names=(evil, "Person"), arms=("baseline", arm))
    page = Page(samples_html(gather_samples(evidence(folder))))
    plain = Page(samples_html(gather_samples(evidence(study(tmp_path / "plain")))))
    assert page.tags == plain.tags
    data = json.loads(page.script)
    assert data["classes"] == [evil]
    assert [one["name"] for one in data["arms"]] == ["baseline", arm]
    assert page.text.count(arm) == 2  # once in each list of arms


def test_a_script_and_a_style_for_the_page_name_nothing_outside(tmp_path: Path) -> None:
    view = gather_samples(evidence(study(tmp_path)))
    page = samples_html(view) + static("samples.css") + static("samples.js").replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page
    assert "</" not in static("samples.js")
    assert "</" not in static("samples.css")
    data = page_data(view)
    assert data["images"][0]["pictures"][0].startswith("data:image/jpeg;base64,")
    assert data["images"][0]["counts"] == [[2, 0, 0], [1, 0, 1]]
    assert data["images"][0]["marks"][1][0] == ["miss", 0, None, 5000, 1250, 7000, 3750]


@pytest.mark.parametrize("missing", ["data.yaml", "images"])
def test_a_data_set_that_is_gone_is_a_line_in_the_page_and_no_error(tmp_path: Path, missing: str) -> None:
    folder = study(tmp_path)
    (tmp_path / "data" / missing).rename(tmp_path / "elsewhere")
    view = gather_samples(evidence(folder))
    assert view.samples == ()
    assert view.problem.startswith("No sample images: ")
    assert str(tmp_path / "data" / "data.yaml") in view.problem
    assert "\n" not in view.problem
    assert samples_charts(view) == []
    page = Page(samples_html(view))
    assert page.tags == ["div", "p"]
    assert view.problem in page.text


def test_runs_without_predictions_have_no_sheet(tmp_path: Path) -> None:
    folder = study(tmp_path)
    for path in folder.rglob("predictions.parquet"):
        path.unlink()
    assert "no run has predictions" in gather_samples(evidence(folder)).problem


def test_an_image_that_is_gone_or_broken_is_passed_over(tmp_path: Path) -> None:
    folder = study(tmp_path)
    broken = tmp_path / "data/images/val/b.png"
    broken.write_bytes(broken.read_bytes()[:60])
    view = gather_samples(evidence(folder))
    assert [one.name for one in view.samples] == ["a"]
    assert view.notes[0].startswith("1 image was passed over: ")
    assert "b.png" in view.notes[0]
    broken.unlink()
    view = gather_samples(evidence(folder))
    assert [one.name for one in view.samples] == ["a"]
    assert "b is not among the validation images" in view.notes[0]


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_all_bits_of_deep_images_are_seen(tmp_path: Path, dtype: str) -> None:
    # Values in the lowest 1/64 of the range: black for a reader that keeps the high byte.
    ramp = np.tile(np.linspace(0, 1000, WIDTH), (HEIGHT, 1))[..., None].repeat(3, axis=2)
    pixels = ramp.astype(np.uint16) if dtype == "uint16" else (ramp / 65535).astype(np.float32)
    data = dataset(tmp_path / "data", {"a.tiff": pixels})
    run(tmp_path / "study", "baseline", data, predictions({"a.tiff": (TRUTHS, BOTH)}))
    view = gather_samples(evidence(tmp_path / "study"))
    shown = view.samples[0].pictures[0].pixels().astype(int)
    assert shown.shape == (HEIGHT, WIDTH, 3)
    assert shown[:, :5].mean() < 20
    assert shown[:, -5:].mean() > 235
    assert "misses and false positives" in view.how


def test_an_arm_with_other_files_of_the_same_images_is_drawn_on_its_own(tmp_path: Path) -> None:
    deep = dataset(tmp_path / "chroma", {"a.tiff": np.full((HEIGHT, WIDTH, 3), 30_000, np.uint16)})
    large = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    large[..., 0] = 200
    srgb = dataset(tmp_path / "srgb", {"a.png": large})
    run(tmp_path / "study", "baseline", deep, predictions({"a.tiff": (TRUTHS, BOTH)}))
    run(tmp_path / "study", "srgb", srgb, predictions({"a.png": (TRUTHS, BOTH)}, scale=2))
    view = gather_samples(evidence(tmp_path / "study"))
    assert [arm.album for arm in view.arms] == [0, 1]
    one = view.samples[0]
    assert [picture.size for picture in one.pictures] == [(100, 80), (200, 160)]
    red, green, _ = one.pictures[1].pixels().mean(axis=(0, 1))
    assert red > 180
    assert green < 20
    assert one.marks[0] == one.marks[1]
    (tmp_path / "srgb/data.yaml").unlink()
    alone = gather_samples(evidence(tmp_path / "study"))
    assert [arm.name for arm in alone.arms] == ["baseline"]
    assert "no pictures of srgb" in alone.notes[0]


def test_an_arm_with_the_boxes_of_another_is_not_what_one_sees_first(tmp_path: Path) -> None:
    folder = study(tmp_path)
    same = predictions({"a.png": (TRUTHS, BOTH), "b.png": (TRUTHS, BOTH)})
    run(folder, "copy", tmp_path / "data/data.yaml", same, map50=0.9)
    view = gather_samples(evidence(folder))
    assert view.shown == ("baseline", "deep", "copy")
    assert "arm copy has the same boxes as baseline" in view.notes
    assert '<option value="2" selected>deep' in samples_html(view)


def test_pictures_are_made_smaller_until_they_fit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, WIDTHS[0], 3), dtype=np.uint8)
    scans = [Scan(noise, (WIDTHS[0], 300))] * 2
    wide = encode(scans, 10_000_000)
    assert [one.size for one in wide] == [(960, 300)] * 2
    assert Image.open(io.BytesIO(wide[0].jpeg)).format == "JPEG"
    budget = sum(len(one.jpeg) for one in wide) - 1
    fitting = encode(scans, budget)
    assert sum(len(one.jpeg) for one in fitting) <= budget
    assert fitting[0].size == (800, 250)
    assert encode(scans, 1)[0].size[0] == WIDTHS[-1]


def test_labels_do_not_overlap_and_stay_within_the_picture() -> None:
    rng = np.random.default_rng(3)
    marks = []
    for index in range(60):
        x, y = rng.uniform(-0.02, 0.97, 2)
        w, h = rng.uniform(0.02, 0.4, 2)
        marks.append(Mark("hit", f"class{index}", 0.5, (max(x, 0), max(y, 0), min(x + w, 1), min(y + h, 1))))
    placed = place_labels(marks, 4.0, 2.0, lambda label: (0.06 * len(label), 0.1))
    assert len(placed) > 20
    assert placed[0][0] is marks[-1]
    for _, (x1, y1, x2, y2) in placed:
        assert x1 >= 0
        assert y1 >= 0
        assert x2 <= 4
        assert y2 <= 2
    for (_, a), (_, b) in combinations(placed, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert place_labels(marks, 0.1, 0.05, lambda _: (1.0, 0.1)) == []


def test_the_figure_has_a_column_an_arm_and_says_its_threshold(tmp_path: Path) -> None:
    folder = study(tmp_path, names=("$Car$", "Person"))
    view: Samples = gather_samples(evidence(folder))
    (chart,) = samples_charts(view)
    assert "at IoU 0.50, above the confidence of its own best F1" in chart.caption
    figure = draw_sheet(view)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"ground truth", "baseline", "deep", "a", "b", "1 found, 0 false, 1 missed", "$Car$ 0.90"} <= set(words)
    assert f"confidence above {view.arms[1].threshold:.2f}" in words
    figure.savefig(tmp_path / "sheet.svg")
    assert "$Car$ 0.90" in (tmp_path / "sheet.svg").read_text()


def test_two_files_that_differ_in_their_suffix_alone_are_two_images(tmp_path: Path) -> None:
    files = {"a.png": grey(40), "a.tiff": np.full((HEIGHT, WIDTH, 3), 40, np.uint8), "b.png": grey(40)}
    files["a.png"][:, :, 0] = 220
    data = dataset(tmp_path / "data", files)
    run(tmp_path / "study", "baseline", data, predictions({name: (TRUTHS, BOTH) for name in files}))
    view = gather_samples(evidence(tmp_path / "study"))
    assert {one.name: one.pictures[0].pixels()[0, 0, 0] > 200 for one in view.samples} == {
        "a.png": True, "a.tiff": False, "b.png": False,
    }  # fmt: skip
