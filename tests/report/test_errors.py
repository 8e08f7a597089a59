"""What arms get wrong, in the report's charts and tables: drawn and listed as the analysis has it, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from frostline.analysis import estimate_arm, estimate_difference, find_runs, score_distribution, write_predictions
from frostline.analysis.confusing import Confusion
from frostline.analysis.errors_tide import ERRORS
from frostline.analysis.evidence import Evidence, gather
from frostline.analysis.predictions import BOX, UNCLIPPED
from frostline.errors import InputError
from frostline.report.canvas import blank_figure, save_figure
from frostline.report.classes import class_charts, class_tables
from frostline.report.confusing import _chosen, _folded, mean_shares
from frostline.report.confusiongrid import confusion_charts
from frostline.report.confusiontables import confusion_rate_charts, confusion_tables
from frostline.report.estimates import measure
from frostline.report.gradients import gradient_charts
from frostline.report.mistakes import mistake_charts, mistake_tables
from frostline.report.model import Chart, Table
from frostline.report.scores import arm_scores, score_charts, score_tables
from frostline.report.sizes import size_charts, size_tables
from random_runs import random_run
from run_folders import our_run

CHARTS = (class_charts, confusion_charts, confusion_rate_charts, mistake_charts, score_charts, size_charts)
TABLES = (class_tables, confusion_tables, mistake_tables, score_tables, size_tables)
IMAGES = 12


def write_study(folder: Path, arms: Sequence[str], seeds: int = 2, classes: int = 4, truth_classes: int = 3) -> Path:
    """Write runs on one set of images; classes from `truth_classes` on have no truths."""
    truth = random_run(7, IMAGES, truth_classes, 8, 0)
    names = {k: f"class<{k}>" for k in range(classes)}
    for place, arm in enumerate(arms):
        for seed in range(seeds):
            run = random_run(100 * place + seed, IMAGES, classes, 0, 20)
            # Half of what is found lies on truths, so that something is right; another half for every arm and seed.
            hits = truth.frame.filter(pl.col("kind") == "truth").sample(fraction=0.5, seed=10 * place + seed)
            scores = np.random.default_rng(place).uniform(0.3, 1, len(hits)).astype(np.float32)
            hits = hits.with_columns(kind=pl.lit("prediction").cast(hits.schema["kind"]), score=pl.Series(scores))
            # Every second one is given the next class, so that classes are confused, some more often than others.
            wrong = (pl.col("class_id") + 1).mod(truth_classes).cast(hits.schema["class_id"])
            even = pl.int_range(pl.len()) % 2 == 0
            hits = hits.with_columns(class_id=pl.when(even).then(wrong).otherwise(pl.col("class_id")))
            own = run.frame.filter(pl.col("kind") == "prediction")
            unclipped = {name: pl.col(part).cast(pl.Float32) for name, part in zip(UNCLIPPED, BOX, strict=True)}
            frame = pl.concat([truth.frame, own, hits.with_columns(**unclipped)], how="diagonal")
            path = our_run(folder / arm / f"seed{seed}", arm, [0.1, 0.3], seed=seed, depth=place)
            order = ["image", "kind", "score"]
            settings = type(run.settings)(300, 0.001, 0.7, names)
            write_predictions(
                path / "predictions.parquet", frame.sort(order, descending=[False, False, True]), settings
            )
    return folder


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = write_study(tmp_path_factory.mktemp("errors") / "study", ["baseline", "freeze_1_to_3", "a&b $x$"])
    return gather(find_runs([folder]), draws=100)


def of_name(items: Sequence[Any], name: str) -> Any:
    return next(item for item in items if item.name == name)


def every(evidence: Evidence) -> Iterator[Chart | Table]:
    for build in (*CHARTS, *TABLES):
        yield from build(evidence)


def close(row: dict[str, Any], key: str, end: str, estimate: Any) -> bool:
    found = [row[f"{key}{part}"] for part in (end, f"{end}_low", f"{end}_high")]
    if estimate.low == estimate.high:
        return found == [pytest.approx(estimate.value), None, None]
    return found == pytest.approx([estimate.value, estimate.low, estimate.high])


def test_tables_hold_the_estimates_of_the_analysis_and_their_differences(evidence: Evidence) -> None:
    resamples = evidence.panels[0].resamples
    named = {
        ("mistakes_count", "missed"): "tide/count/missed",
        ("mistakes_gain", "localisation"): "tide/gain/localisation",
        ("confusion_rates", "background_false_positives"): "confusion/background_false_positives",
        ("scores", "false_above"): "scores/false_positives_above_0.7",
        ("sizes", "AP_medium"): "coco/AP_medium",
        ("sizes", "precision_at_recall_0.6"): "coco/precision_at_recall_0.6",
    }
    tables = {table.name: table for build in TABLES for table in build(evidence)}
    for (name, key), metric in named.items():
        rows = {row["arm"]: row for row in tables[name].frame.iter_rows(named=True)}
        assert list(rows) == list(evidence.arms)
        assert rows["baseline"][f"{key}_change"] is None
        assert close(rows["baseline"], key, "", estimate_arm(resamples, metric, "baseline"))
        for arm in evidence.arms[1:]:
            assert close(rows[arm], key, "", estimate_arm(resamples, metric, arm)), (name, key, arm)
            assert close(rows[arm], key, "_change", estimate_difference(resamples, metric, arm, "baseline")), (
                name,
                arm,
            )


def test_classes_have_both_averages_in_ultralytics_definition_and_none_without_truths(evidence: Evidence) -> None:
    resamples = evidence.panels[0].resamples
    frame = of_name(class_tables(evidence), "classes").frame
    for name, metric in (("AP50", "ultralytics/AP50/class<1>"), ("AP50-95", "ultralytics/AP/class<1>")):
        [row] = frame.filter(metric=name, arm="freeze_1_to_3", **{"class": "class<1>"}).to_dicts()
        assert row["value"] == pytest.approx(estimate_arm(resamples, metric, "freeze_1_to_3").value)
        difference = estimate_difference(resamples, metric, "freeze_1_to_3", "baseline")
        assert [row["change"], row["change_low"], row["change_high"]] == pytest.approx(
            [difference.value, difference.low, difference.high]
        )
    empty = frame.filter(pl.col("class") == "class<3>")
    assert empty.get_column("truths").to_list() == [0] * len(empty)
    assert empty.select(pl.col("value", "low", "high", "change").null_count()).row(0) == (len(empty),) * 4
    wide = of_name(class_tables(evidence), "class_AP50")
    assert wide.frame.height == 4
    assert [column.header for column in wide.columns[2:]] == ["baseline", "a&b $x$, change", "freeze_1_to_3, change"]
    assert {column.kind for column in wide.columns[3:]} == {"points"}


def matrices(figure: Figure) -> dict[str, np.ndarray]:
    """Read the drawn matrices back, by the title of their panel."""
    return {
        axes.get_title(loc="left"): np.ma.filled(mesh.get_array().astype(float), np.nan)
        for axes in figure.axes
        for mesh in axes.collections
        if isinstance(mesh, QuadMesh) and axes.get_title(loc="left")
    }


def test_matrices_are_means_over_seeds_and_counts_are_those_of_each_run(evidence: Evidence) -> None:
    scorers = evidence.panels[0].scorers["freeze_1_to_3"]
    expected = 100 * np.mean([scorer.confusion.normalized for scorer in scorers.values()], axis=0)
    figure = of_name(confusion_charts(evidence), "confusion").draw()
    drawn = matrices(figure)["freeze_1_to_3"]
    drawn[-1, -1] = expected[-1, -1]  # background taken for background is left empty
    np.testing.assert_allclose(drawn, expected, atol=1e-9)
    assert np.isnan(drawn[:, 3]).all(), "a class without truths has no shares"
    counts = of_name(confusion_tables(evidence), "confusion_counts").frame
    for arm, seeds in evidence.panels[0].scorers.items():
        for seed, scorer in seeds.items():
            rows = counts.filter(arm=arm, seed=seed)
            assert rows.get_column("count").sum() == scorer.confusion.matrix.sum()
            missed = dict(rows.filter(predicted="background").select("true", "count").iter_rows())
            assert missed == {k: n for k, n in scorer.confusion.background_false_negatives.items() if n}


def test_the_difference_view_is_the_arm_less_the_baseline(evidence: Evidence) -> None:
    charts = confusion_charts(evidence)
    values, change = (matrices(of_name(charts, name).draw()) for name in ("confusion", "confusion_change"))
    change.pop("change, points", None)  # the scale of colours
    assert list(change) == ["a&b $x$", "freeze_1_to_3"]
    for arm, drawn in change.items():
        np.testing.assert_allclose(drawn, values[arm] - values["baseline"], atol=1e-9)


def test_confused_pairs_are_the_most_frequent_of_each_arm(evidence: Evidence) -> None:
    frame = of_name(confusion_tables(evidence), "confused_pairs").frame
    confusions = [s.confusion for s in evidence.panels[0].scorers["freeze_1_to_3"].values()]
    mean = np.mean([c.matrix for c in confusions], axis=0)[:-1, :-1]
    np.fill_diagonal(mean, 0)
    rows = frame.filter(arm="freeze_1_to_3")
    assert rows.get_column("count").to_list() == sorted(mean[mean > 0].tolist(), reverse=True)[:5]
    assert "background" not in {*frame.get_column("true"), *frame.get_column("predicted")}


def test_of_many_classes_those_most_confused_are_kept_and_columns_still_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (1, 41, 41))
    counts[0, :-1, :-1] = np.diag(rng.integers(5, 9, 40))
    counts[0, 30, 7] = counts[0, 12, 31] = 50  # four classes that are taken for each other
    counts[0, -1, -1] = 0
    found = Confusion((*(f"c{k}" for k in range(40)), "background"), counts, 0.25, 0.45)
    chosen = _chosen({"arm": [found]}, 40, 4)
    assert chosen == [7, 12, 30, 31]
    shares = _folded(mean_shares([found]), [*chosen, 40])
    assert shares.shape == (6, 5)  # four classes, all others together, background; no column of the others
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    assert shares[2, 0] == pytest.approx(50 / counts[0, :, 7].sum())


def test_histograms_count_detections_an_image(evidence: Evidence) -> None:
    panel = evidence.panels[0]
    spread = [score_distribution(scorer.coco) for scorer in panel.scorers["baseline"].values()]
    [shown] = [one for one in arm_scores(evidence) if one.arm == "baseline"]
    for name, heights in (("true_positives", shown.right), ("false_positives", shown.wrong)):
        scores = [getattr(each, name) for each in spread]
        expected = sum(len(s) for s in scores) / len(scores) / len(panel.images)
        assert heights.sum() == pytest.approx(expected)
    titles = [axes.get_title(loc="left") for axes in of_name(score_charts(evidence), "scores").draw().axes]
    assert "freeze_1_to_3" in titles


def test_every_mistake_and_size_is_drawn_where_its_value_is(evidence: Evidence) -> None:
    resamples = evidence.panels[0].resamples
    place = evidence.arms.index("freeze_1_to_3")
    for axes, kind in zip(of_name(mistake_charts(evidence), "mistakes").draw().axes, ERRORS, strict=False):
        points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("", "None", None)]
        assert points[place] == pytest.approx(estimate_arm(resamples, f"tide/count/{kind}", "freeze_1_to_3").value)
    figure = of_name(size_charts(evidence), "sizes").draw()
    medium = figure.axes[1]
    expected = [100 * estimate_arm(resamples, "coco/AP_medium", arm).value for arm in evidence.arms]
    points = [line.get_xdata()[0] for line in medium.lines if line.get_marker() not in ("", "None", None)]
    assert points == pytest.approx(expected)
    truths = int(next(iter(evidence.panels[0].scorers["baseline"].values())).coco.truths[2].sum())
    assert medium.get_title(loc="left") == f"medium ({truths})"


def test_every_chart_draws_and_says_what_it_shows(evidence: Evidence, tmp_path: Path) -> None:
    items = list(every(evidence))
    assert len({item.name for item in items if isinstance(item, Chart)}) == 8
    for item in items:
        if isinstance(item, Table):
            shown = {key for c in item.columns for key in (c.key, c.low, c.high) if key}
            assert shown <= set(item.frame.columns), item.name
            continue
        svg = save_figure(item.draw(), tmp_path / f"{item.name}.svg").read_text()
        assert "freeze_1_to_3" in svg
        assert "a&amp;b $x$" in svg, "the name of an arm is text, no formula"
        assert "Ultralytics" in item.caption or "COCO" in item.caption


def test_one_arm_without_a_baseline_has_values_and_no_changes(tmp_path: Path) -> None:
    write_study(tmp_path / "s", ["x", "alone"], seeds=1)
    shutil.rmtree(tmp_path / "s" / "x")
    evidence = gather(find_runs([tmp_path / "s"]), draws=100)
    assert evidence.baseline is None
    for item in every(evidence):
        if isinstance(item, Chart):
            item.draw()
            assert "baseline" not in item.caption
        else:
            assert not [column for column in item.columns if column.key.endswith("change")], item.name
    assert [chart.name for chart in confusion_charts(evidence)] == ["confusion"]


def test_runs_without_predictions_have_no_charts_and_do_not_hinder_others(tmp_path: Path) -> None:
    our_run(tmp_path / "s" / "curves" / "seed0", "curves", [0.1, 0.2])
    assert list(every(gather(find_runs([tmp_path / "s"]), draws=100))) == []
    write_study(tmp_path / "s", ["baseline"], seeds=1)
    items = list(every(gather(find_runs([tmp_path / "s"]), draws=100)))
    assert items
    for item in items:
        if isinstance(item, Table) and "arm" in item.frame.columns:
            assert item.frame.get_column("arm").unique().to_list() == ["baseline"]


def test_an_interval_without_a_width_is_none(tmp_path: Path) -> None:
    write_study(tmp_path / "s", ["baseline", "same"], seeds=1)
    shutil.copy(*(tmp_path / "s" / arm / "seed0" / "predictions.parquet" for arm in ("baseline", "same")))
    found = measure(gather(find_runs([tmp_path / "s"]), draws=100), ["ultralytics/mAP50"])["same", "ultralytics/mAP50"]
    assert (found.change, found.change_low, found.change_high, found.clear) == (0.0, None, None, False)
    assert found.low is not None


def test_gradients_are_drawn_for_one_run_of_each_arm_and_at_most_twelve(tmp_path: Path) -> None:
    for number in range(14):
        for seed in (0, 1):
            path = our_run(tmp_path / f"a{number}" / f"seed{seed}", f"a{number}", [0.1, 0.2], seed=seed)
            if number != 1:
                (path / "gradients.csv").write_text("epoch,layer_0,layer_1\n1,,0.5\n2,0.1,0.5\n")
    [chart] = gradient_charts(gather(find_runs([tmp_path]), draws=100))
    titles = [axes.get_title(loc="left") for axes in chart.draw().axes]
    shown = [title for title in titles if title]
    assert shown == [f"a{number}, seed 0" for number in range(14) if number != 1][:12]
    assert "1 more" in chart.caption
    assert gradient_charts(gather(find_runs([tmp_path / "a1"]), draws=100)) == []


def test_a_figure_is_written_whole_or_says_why_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f\.jpg: expected a name that ends in \.png, \.svg, \.pdf"):
        save_figure(blank_figure(2, 1), tmp_path / "f.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"f\.png: cannot be written"):
        save_figure(blank_figure(2, 1), tmp_path / "file" / "f.png")
    assert save_figure(blank_figure(2, 1), tmp_path / "new" / "f.pdf").read_bytes().startswith(b"%PDF")
