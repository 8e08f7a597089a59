"""The charts of a report draw the numbers that the analysis gives, in print and to hover over."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from frostline.analysis import (
    compare_to_baseline,
    confidence_curves,
    estimate_arm,
    find_runs,
    gather,
)
from frostline.analysis.convergence import cost_frame
from frostline.analysis.evidence import Evidence
from frostline.report import hover
from frostline.report.chartparts import label_points, sheet, shown_arms, spread_out, styled
from frostline.report.charts_cost import cost_charts
from frostline.report.charts_depth import depth_charts
from frostline.report.charts_differences import difference_charts
from frostline.report.charts_f1 import f1_charts, f1_tables
from frostline.report.charts_learning import learning_charts
from frostline.report.charts_pr import pr_charts, pr_tables
from frostline.report.charts_stages import gain, stage_bests, stage_charts
from frostline.report.charts_time import pareto_front, time_charts, timed_arms
from frostline.report.model import Chart
from run_folders import new_ultralytics, our_run
from study_runs import study, write_detections

ARMS = {"baseline": 0.8, "freeze_1_to_3": 0.82, "freeze_1_to_6": 0.5, "<b>$x_1$</b>": 0.6}
BUILDERS: Sequence[Callable[[Evidence], Sequence[Chart]]] = (
    depth_charts,
    difference_charts,
    time_charts,
    learning_charts,
    pr_charts,
    f1_charts,
    stage_charts,
    cost_charts,
)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = study(tmp_path_factory.mktemp("charts") / "study", ARMS, images=30)
    for seed, best in enumerate((0.5, 0.54)):
        curve = [0.1, 0.2 + 0.02 * seed, 0.15, best, 0.4]
        path = our_run(folder / "two_stage" / f"seed{seed}", "two_stage", curve, seed=seed, stages=(2, 3))
        measured: list[dict[str, float]] = [{"ultralytics/mAP50": 0.2}, {"ultralytics/mAP50": best}]
        if seed:
            measured[1]["ultralytics/mAP50-95"] = 0.3
        record = json.loads((path / "run.json").read_text())
        record["stages"] = [{"stage": number, "metrics": one} for number, one in enumerate(measured, start=1)]
        (path / "run.json").write_text(json.dumps(record))
        # A run that was cut short takes no part.
        our_run(folder / "baseline" / f"seed{seed + 8}", "baseline", [0.1, 0.3], seed=seed + 8, status="interrupted")
    return gather(find_runs([folder]), draws=100)


def by_name(charts: Sequence[Chart]) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts}


def traces(chart: Chart, arm: str, panel: str = "x") -> list[dict[str, Any]]:
    assert chart.interactive is not None
    found = chart.interactive()["data"]
    return [trace for trace in found if trace.get("meta") == {"arm": arm} and trace["xaxis"] == panel]


def points_of(figure: Figure, panel: int) -> set[tuple[float, float]]:
    lines = figure.axes[panel].get_lines()
    return {
        (round(float(x), 6), round(float(y), 6))
        for line in lines
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def heights(figure: Figure, panel: int) -> set[float]:
    return {y for _, y in points_of(figure, panel)}


def test_depth_chart_has_the_estimates_of_the_analysis(evidence: Evidence) -> None:
    chart = by_name(depth_charts(evidence, 3))["freeze_depth"]
    figure = chart.draw()
    for arm in ARMS:
        panel = evidence.panels[0]
        found = estimate_arm(panel.resamples, "ultralytics/mAP50", arm, evidence.confidence, evidence.method)
        mean = traces(chart, arm)[0]
        assert mean["y"] == pytest.approx([found.value], rel=1e-4)
        assert mean["error_y"]["array"] == pytest.approx([found.high - found.value], rel=1e-3)
        assert mean["error_y"]["arrayminus"] == pytest.approx([found.value - found.low], rel=1e-3)
        side = 1 if arm.startswith("<b>") else 0
        assert {round(found.value, 6), round(found.low, 6), round(found.high, 6)} <= heights(figure, side)


def test_frost_line_is_marked_at_the_arm_of_its_depth(evidence: Evidence) -> None:
    figure = by_name(depth_charts(evidence, 3))["freeze_depth"].draw()
    told = [text.get_text() for text in figure.axes[0].texts]
    assert "❄ frost line: freeze 3 layers" in told
    assert "frost line" not in depth_charts(evidence)[0].caption
    layout = by_name(depth_charts(evidence, 3))["freeze_depth"].interactive()["layout"]  # type: ignore[misc]
    at = [shape["x0"] for shape in layout["shapes"] if shape["type"] == "line"]
    assert at[0] == pytest.approx(traces(depth_charts(evidence, 3)[0], "freeze_1_to_3")[0]["x"][0], rel=1e-4)


def test_an_arm_without_predictions_is_hollow_and_has_no_interval(evidence: Evidence) -> None:
    chart = depth_charts(evidence)[0]
    mean = traces(chart, "two_stage")[0]
    assert "error_y" not in mean and mean["y"] == pytest.approx([0.53])
    assert "Hollow" in chart.caption and "two_stage" in chart.caption


def test_differences_are_those_to_the_baseline_with_holms_p(evidence: Evidence) -> None:
    chart = difference_charts(evidence)[0]
    expected = compare_to_baseline(evidence.panels[0].resamples, "ultralytics/mAP50-95", "baseline")
    figure = chart.draw()
    shown = points_of(figure, 1)
    for arm, (found, p) in expected.items():
        (trace,) = traces(chart, arm, "x2")
        assert trace["x"] == pytest.approx([100 * found.value], rel=1e-4, abs=1e-4)
        assert trace["error_x"]["array"] == pytest.approx([100 * (found.high - found.value)], rel=1e-3, abs=1e-3)
        assert trace["marker"]["symbol"].endswith("-open") == (p >= 0.05)
        assert {round(100 * end, 6) for end in (found.low, found.value, found.high)} <= {x for x, _ in shown}
    assert "two_stage" not in expected  # without predictions nothing can be paired


def test_hovering_has_arms_to_toggle_and_nothing_that_json_or_html_would_trip_over(evidence: Evidence) -> None:
    for build in BUILDERS:
        for chart in build(evidence):
            if chart.interactive is None:
                continue
            figure = chart.interactive()
            text = json.dumps(figure, allow_nan=False)
            assert "<b>$x_1$" not in text.replace('"meta": {"arm": "<b>$x_1$</b>"}', "")
            assert {t["meta"]["arm"] for t in figure["data"] if "meta" in t} <= {*ARMS, "two_stage"}
            assert not {"paper_bgcolor", "plot_bgcolor", "font"} & set(figure["layout"])
            panels = {key for key in figure["layout"] if key.startswith("xaxis")}
            assert {"xaxis" + trace.get("xaxis", "x")[1:] for trace in figure["data"]} <= panels


def test_a_chart_is_laid_out_once_and_draws_the_same_whatever_the_callers_settings(evidence: Evidence) -> None:
    with matplotlib.rc_context({"axes.spines.top": True, "font.size": 30}):
        figure = cost_charts(evidence)[0].draw()
    assert not figure.axes[0].spines["top"].get_visible()
    before = figure.axes[0].get_position().bounds
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().bounds == before


def test_learning_curves_are_the_mean_and_the_span_over_seeds(evidence: Evidence) -> None:
    chart = by_name(learning_charts(evidence))["learning_curves"]
    runs = [
        run.results.get_column("mAP50").to_numpy() for run in evidence.runs_of("two_stage") if run.results is not None
    ]
    found = traces(chart, "two_stage")
    line = next(trace for trace in found if trace["mode"] == "lines" and "fill" not in trace)
    assert line["y"] == pytest.approx(np.mean(runs, axis=0), rel=1e-4)
    assert line["customdata"][2] == pytest.approx([np.min(runs, axis=0)[2], np.max(runs, axis=0)[2]], rel=1e-4)
    ring = next(trace for trace in found if trace["mode"] == "markers")
    assert ring["x"] == [4.0]  # the first above 90 % of the mean of all five
    drawn = chart.draw().axes[0].get_lines()
    assert any(np.asarray(item.get_ydata()).tolist() == np.mean(runs, axis=0).tolist() for item in drawn)


def test_unfinished_runs_are_dotted_and_in_no_mean(evidence: Evidence) -> None:
    chart = by_name(learning_charts(evidence))["learning_curves"]
    dotted = [trace for trace in traces(chart, "baseline") if trace.get("line", {}).get("dash") == "dot"]
    assert [trace["y"] for trace in dotted] == [[0.1, 0.3]] * 2
    assert "baseline, seed 8 (interrupted)" in chart.caption
    crosses = [line for line in chart.draw().axes[0].get_lines() if line.get_marker() == "x"]
    assert len(crosses) == 2


def test_losses_are_drawn_for_both_splits(evidence: Evidence) -> None:
    chart = by_name(learning_charts(evidence))["losses"]
    titles = [axes.get_title(loc="left") for axes in chart.draw().axes]
    assert titles == [f"{split}/{name}_loss" for split in ("train", "val") for name in ("box", "cls", "dfl")]
    assert [trace["y"][0] for trace in traces(chart, "baseline", "x5") if "fill" not in trace] == [2.6]


def test_precision_recall_encloses_cocos_map(evidence: Evidence) -> None:
    chart = pr_charts(evidence)[0]
    resamples = evidence.panels[0].resamples
    figure = chart.draw()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    for arm in ARMS:
        expected = resamples.arm(arm).point[:, resamples.index("coco/mAP50")].mean()
        line = next(trace for trace in traces(chart, arm) if trace["mode"] == "lines")
        assert len(line["y"]) == 101 and np.mean(line["y"]) == pytest.approx(expected, abs=1e-5)
        assert any(text.endswith(f"{100 * expected:.1f}") for text in legend)
        # By class: the second panel is the first class.
        car = resamples.arm(arm).point[:, resamples.index("coco/AP50/Car")].mean()
        line = next(trace for trace in traces(chart, arm, "x2") if trace["mode"] == "lines")
        assert np.mean(line["y"]) == pytest.approx(car, abs=1e-5)


def test_crossings_stand_in_the_table_where_the_drawn_curves_meet(evidence: Evidence) -> None:
    frame = pr_tables(evidence)[0].frame
    chart = pr_charts(evidence)[0]
    means = frame.filter(frame["class"] == "mean over classes")
    assert set(means["arm"]) == set(ARMS) - {"baseline"}
    crossed = means.drop_nulls("recall")
    assert crossed.height
    curves = {arm: next(t for t in traces(chart, arm) if t["mode"] == "lines") for arm in ARMS}
    for row in crossed.iter_rows(named=True):
        a, b = (np.interp(row["recall"], curves[arm]["x"], curves[arm]["y"]) for arm in (row["arm"], "baseline"))
        assert a == pytest.approx(b, abs=1e-4)
    marked = {arm: next((t["x"] for t in traces(chart, arm) if t["mode"] == "markers"), []) for arm in ARMS}
    for arm, recalls in marked.items():
        assert recalls == pytest.approx(crossed.filter(crossed["arm"] == arm)["recall"].to_list(), abs=1e-4)


def test_f1_table_and_peaks_are_those_of_the_analysis(evidence: Evidence) -> None:
    frame, chart = f1_tables(evidence)[0].frame, f1_charts(evidence)[0]
    scorers = evidence.panels[0].scorers["freeze_1_to_6"]
    curves = [confidence_curves(scorer.ultralytics) for scorer in scorers.values()]
    rows = {row["class"]: row for row in frame.filter(frame["arm"] == "freeze_1_to_6").iter_rows(named=True)}
    for name in ("Car", "Cyclist", "Pedestrian"):
        assert rows[name]["f1"] == pytest.approx(np.mean([c.best_f1_per_class[name] for c in curves]))
        assert rows[name]["threshold"] == pytest.approx(np.mean([c.best_threshold_per_class[name] for c in curves]))
    assert rows["mean over classes"]["f1"] == pytest.approx(np.mean([c.mean_f1 for c in curves]))
    drawn = np.mean([c.f1.mean(axis=0) for c in curves], axis=0)
    peak = next(trace for trace in traces(chart, "freeze_1_to_6") if trace["mode"] == "markers")
    assert peak["y"] == pytest.approx([drawn.max()], rel=1e-4)
    assert peak["x"] == pytest.approx([curves[0].confidence[drawn.argmax()]], rel=1e-4)


def test_stages_tell_what_each_adds_seed_by_seed(evidence: Evidence) -> None:
    bests = stage_bests(evidence.runs_of("two_stage"), "mAP50")
    assert [best.values for best in bests] == [(0.2, 0.2), (0.5, 0.54)]
    assert [(best.first, best.epoch) for best in bests] == [(1, 2), (3, 4)]
    assert gain(*bests) == "+32.0 [+30.0, +34.0] points"
    # Where run.json measured no metric of a stage, results.csv tells it: half of its mAP50.
    assert stage_bests(evidence.runs_of("two_stage"), "mAP50-95")[1].values == (0.25, 0.3)
    figure = stage_charts(evidence)[0].draw()
    assert {"stage 1", "stage 2", gain(*bests)} <= {text.get_text() for text in figure.axes[0].texts}
    assert (4.0, 0.52) in points_of(figure, 0)
    assert not stage_bests(evidence.runs_of("baseline"), "mAP50")


def test_cost_bars_are_the_means_of_the_analysis_and_points_the_seeds(evidence: Evidence) -> None:
    frame = cost_frame(evidence)
    chart = cost_charts(evidence)[0]
    figure = chart.draw()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["seconds an epoch", "training, seconds", "peak memory, GiB", "trainable, millions"]
    expected = frame.get_column("peak_rss_bytes").to_numpy() / 2**30
    assert [bar.get_width() for bar in figure.axes[2].patches] == pytest.approx(expected)
    bars = [trace for trace in chart.interactive()["data"] if trace["type"] == "bar"]  # type: ignore[misc]
    assert len(bars) == 4 * (len(ARMS) + 1)


def test_time_chart_joins_the_arms_that_none_beats(evidence: Evidence) -> None:
    found = timed_arms(evidence, "mAP50-95", evidence.arms)
    front = pareto_front(found)
    for point in found:
        beaten = any(
            (o.seconds <= point.seconds and o.value.value > point.value.value)
            or (o.seconds < point.seconds and o.value.value >= point.value.value)
            for o in found
        )
        assert (point in front) != beaten
    # Median epoch 5 s, 7 epochs.
    assert next(point.seconds for point in found if point.value.arm == "baseline") == pytest.approx(35)


def test_one_run_of_plain_ultralytics_is_drawn_as_far_as_it_tells(tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "train", [0.1, 0.3, 0.4])
    evidence = gather(find_runs([tmp_path]), draws=100)
    drawn = {chart.name for build in BUILDERS for chart in build(evidence) if chart.draw()}
    assert drawn == {"freeze_depth", "learning_curves", "losses", "cost"}
    assert not pr_tables(evidence) and not f1_tables(evidence)


def test_one_epoch_and_a_run_without_any_draw_without_complaint(tmp_path: Path) -> None:
    our_run(tmp_path / "a", "a", [0.2], depth=0)
    our_run(tmp_path / "b", "b", [0.0], depth=2)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "run.json").write_text('{"arm": "c", "status": "running"}')
    evidence = gather(find_runs([tmp_path]), draws=100)
    drawn = {chart.name for build in (learning_charts, time_charts) for chart in build(evidence) if chart.draw()}
    assert drawn == {"learning_curves", "losses", "training_time"}


def test_of_many_classes_the_most_frequent_are_shown(tmp_path: Path) -> None:
    names = [f"kind{index}" for index in range(20)]
    our_run(tmp_path / "a", "a", [0.2, 0.4], depth=0)
    write_detections(tmp_path / "a" / "predictions.parquet", 0.7, 0, images=30, classes=names)
    evidence = gather(find_runs([tmp_path]), draws=100)
    chart = pr_charts(evidence)[0]
    counts = next(iter(evidence.panels[0].scorers["a"].values())).coco.truths[0].sum(axis=1)
    assert "of 20 classes, the 12 with most objects" in chart.caption.lower()
    assert chart.interactive is not None
    titles = [
        note["text"].removeprefix("<b>").removesuffix("</b>") for note in chart.interactive()["layout"]["annotations"]
    ]
    assert len(titles) == 13
    shown = {counts[names.index(title)] for title in titles if title in names}
    assert min(shown) >= sorted(counts)[-12]


def test_of_many_arms_the_first_and_the_baseline_are_shown() -> None:
    arms = [f"arm{index}" for index in range(60)]
    shown, told = shown_arms([*arms, "baseline"], "baseline")
    assert shown == [*arms[:35], "baseline"] and "36 of 61" in told
    assert shown_arms(arms[:36], None) == (arms[:36], "")


def test_spreading_out_moves_as_little_as_possible() -> None:
    assert spread_out([0.0, 5.0, 1.0], 1.0).tolist() == [0.0, 5.0, 1.0]
    assert spread_out([2.0, 2.0, 9.0], 1.0).tolist() == [1.5, 2.5, 9.0]
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = rng.uniform(0, 3, 4)
        placed = spread_out(wanted, 0.7)
        gaps = np.diff(np.sort(placed))
        assert (gaps >= 0.7 - 1e-9).all() and (np.argsort(placed) == np.argsort(wanted)).all()
        # No allowed step away from it is better.
        cost = ((placed - wanted) ** 2).sum()
        for move in itertools.product([-0.01, 0, 0.01], repeat=4):
            other = placed + move
            if (np.diff(other[np.argsort(wanted)]) >= 0.7 - 1e-9).all():
                assert ((other - wanted) ** 2).sum() >= cost - 1e-9


def test_labels_of_a_crowd_do_not_overlap() -> None:
    rng = np.random.default_rng(1)
    places = [(float(x), float(y)) for x, y in rng.uniform(0.35, 0.65, (12, 2))]

    def drawn() -> Figure:
        figure = sheet(9, 5)
        axes = figure.subplots()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        label_points(axes, places, [f"freeze_1_to_{index}" for index in range(12)], ["#000000"] * 12)
        return figure

    figure = styled(drawn)()
    figure.draw_without_rendering()  # an annotation's own box holds its line as well: the text alone is asked
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert len(boxes) == 12
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_hover_panels_do_not_overlap() -> None:
    layout = hover.panels([f"p{index}" for index in range(7)], 3)
    spans = [
        (*layout[f"xaxis{index or ''}"]["domain"], *layout[f"yaxis{index or ''}"]["domain"])
        for index in [0, *range(2, 8)]
    ]
    assert all(0 <= value <= 1 for span in spans for value in span)
    for a, b in itertools.combinations(spans, 2):
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]
