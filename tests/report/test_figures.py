from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from frostline.analysis import compare_runs, find_runs
from frostline.errors import InputError
from frostline.report import draw_comparison, write_comparison
from frostline.report.depth import draw_depth
from frostline.report.learning import arm_curves, draw_learning
from frostline.report.palette import arm_styles
from run_folders import new_ultralytics, old_ultralytics, our_run


def text_of(folders: Sequence[Path] | Path, tmp_path: Path, metrics: Sequence[str] = ("mAP50",)) -> str:
    """Draw as SVG, whose text stays text."""
    folders = [folders] if isinstance(folders, Path) else folders
    return draw_comparison(find_runs(folders), metrics, tmp_path / "f.svg").read_text()


def test_a_print_of_two_metrics_is_large_enough_and_shows_every_arm_in_its_colour(tmp_path: Path) -> None:
    for depth in (0, 3, 4):
        arm = f"freeze_1_to_{depth}" if depth else "baseline"
        our_run(tmp_path / "r" / arm, arm, [0.1, 0.2, 0.3 + depth / 100], depth=depth)
    runs = find_runs([tmp_path / "r"])
    image = imread(draw_comparison(runs, ["mAP50", "mAP50-95"], tmp_path / "c.png"))[..., :3]
    height, width, _ = image.shape
    assert width == 2420
    assert 1.2 < width / height < 1.8
    for style in arm_styles(run.arm for run in runs).values():
        colour = np.array([int(style.colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        shown = np.abs(image - colour).max(axis=-1) < 0.02
        # In the legend, in both panels of the first row and in both of the second.
        rows, columns = np.nonzero(shown)
        assert {(r > height / 2, c > 0.6 * width) for r, c in zip(rows, columns, strict=True)} == {
            (below, right) for below in (False, True) for right in (False, True)
        }
    edges = [image[:12], image[-12:], image[:, :12], image[:, -12:]]
    assert all((edge == 1).all() for edge in edges), "something touches the edge of the figure"


def test_one_seed_says_that_no_uncertainty_is_shown(tmp_path: Path) -> None:
    our_run(tmp_path / "r" / "baseline" / "seed0", "baseline", [0.1, 0.2])
    our_run(tmp_path / "r" / "b" / "seed0", "b", [0.1, 0.2])
    assert "One seed an arm: no uncertainty is shown." in text_of(tmp_path / "r", tmp_path)
    our_run(tmp_path / "r" / "baseline" / "seed1", "baseline", [0.1, 0.2], seed=1)
    text = text_of(tmp_path / "r", tmp_path)
    assert "Bands: lowest to highest seed." in text
    assert "One seed, so no uncertainty shown: b." in text


def test_twelve_arms_one_run_and_one_epoch_all_draw(tmp_path: Path) -> None:
    for depth in range(12):
        our_run(tmp_path / "r" / str(depth), f"freeze_1_to_{depth}", [0.1, 0.2], depth=depth)
    text = text_of(tmp_path / "r", tmp_path, ["mAP50", "recall"])
    assert all(f">freeze_1_to_{depth}<" in text for depth in range(12))
    assert ">train<" in text_of(old_ultralytics(tmp_path / "one" / "train", [0.3]), tmp_path)


def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "r" / "$x^2$ <b>&_{y", [0.1, 0.2])
    # With its brackets: the file has every text as a comment too.
    assert ">$x^2$ &lt;b&gt;&amp;_{y<" in text_of(tmp_path / "r", tmp_path)


def test_stages_are_marked_where_they_begin(tmp_path: Path) -> None:
    our_run(tmp_path / "r" / "two_stage_3", "two_stage_3", [0.1] * 5, stages=(2, 3))
    our_run(tmp_path / "r" / "baseline", "baseline", [0.1] * 5)
    runs = find_runs([tmp_path / "r"])
    axes = Figure().subplots()
    draw_learning(axes, runs, "mAP50", arm_styles(run.arm for run in runs))
    marks = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert marks == [2.5]
    assert [text.get_text() for text in axes.texts] == ["stage 2 of two_stage_3"]


def test_the_curve_of_an_arm_is_the_mean_of_its_seeds_over_the_epochs_that_all_have(tmp_path: Path) -> None:
    values = [[0.1, 0.2, 0.3, 0.4], [0.3, 0.4, 0.5]]
    for seed, curve in enumerate(values):
        our_run(tmp_path / f"seed{seed}", "a", curve, seed=seed)
    runs = find_runs([tmp_path])
    (curves,) = arm_curves(runs, "mAP50")
    assert curves.epochs.tolist() == [1, 2, 3]
    assert curves.runs.tolist() == [values[0][:3], values[1]]
    axes = Figure().subplots()
    draw_learning(axes, runs, "mAP50", arm_styles(["a"]))
    mean, rest = axes.lines
    assert mean.get_ydata().tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert (rest.get_xdata().tolist(), rest.get_ydata().tolist()) == ([3, 4], [0.3, 0.4])
    band = axes.collections[0].get_paths()[0].vertices
    assert {round(y, 6) for y in band[band[:, 0] == 2][:, 1]} == {0.2, 0.4}


def test_the_depth_panel_joins_means_and_shows_every_seed(tmp_path: Path) -> None:
    for depth, tops in {0: [0.3, 0.5], 3: [0.2, 0.3], 6: [0.1, 0.1]}.items():
        for seed, top in enumerate(tops):
            our_run(tmp_path / str(depth) / f"seed{seed}", f"freeze_{depth}", [top], depth=depth, seed=seed)
    our_run(tmp_path / "two_stage_3", "two_stage_3", [0.7])
    runs = find_runs([tmp_path])
    axes = Figure().subplots()
    draw_depth(axes, runs, "mAP50", arm_styles(run.arm for run in runs))
    joined = axes.lines[0]
    assert joined.get_xdata().tolist() == [0, 3, 6]
    assert joined.get_ydata().tolist() == pytest.approx([0.41, 0.26, 0.11])
    points = [list(map(float, line.get_ydata())) for line in axes.lines if len(line.get_ydata()) == 2]
    assert pytest.approx([0.31, 0.51]) in points
    assert [text.get_text() for text in axes.texts] == ["other\nplans"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "3", "6"]


def test_curves_that_coincide_all_show_and_others_keep_one_width(tmp_path: Path) -> None:
    for arm, top in (("baseline", 0.3), ("freeze_1_to_3", 0.3), ("freeze_1_to_6", 0.3), ("other", 0.2)):
        our_run(tmp_path / arm, arm, [0.0, top / 2, top])
    runs = find_runs([tmp_path])
    axes = Figure().subplots()
    draw_learning(axes, runs, "mAP50", arm_styles(run.arm for run in runs))
    *equal, other = axes.lines
    widths = [line.get_linewidth() for line in equal]
    assert widths[0] > widths[1] + 1 > widths[2] + 2 and widths[2] == other.get_linewidth()
    shown = [set(range(3)[slice(line.get_markevery()[0], None, line.get_markevery()[1])]) for line in equal]
    assert sorted(epoch for epochs in shown for epoch in epochs) == [0, 1, 2], "markers take turns"
    assert len({tuple(line._dash_pattern[1] or ()) for line in equal}) == 3


def test_markers_of_one_epoch_and_of_one_depth_lie_in_one_another(tmp_path: Path) -> None:
    for arm in ("baseline", "srgb"):
        our_run(tmp_path / arm, arm, [0.3], depth=0)
    runs = find_runs([tmp_path])
    for draw in (draw_learning, draw_depth):
        axes = Figure().subplots()
        draw(axes, runs, "mAP50", arm_styles(run.arm for run in runs))
        below, above = axes.lines
        assert below.get_markersize() > above.get_markersize() + 3


def test_a_marker_at_zero_is_whole(tmp_path: Path) -> None:
    our_run(tmp_path / "a", "a", [0.0, 0.0], depth=0)
    for draw in (draw_learning, draw_depth):
        axes = Figure().subplots()
        draw(axes, find_runs([tmp_path]), "mAP50", arm_styles("a"))
        assert axes.get_ylim()[0] == 0 and not any(line.get_clip_on() for line in axes.lines)


def test_no_line_joins_arms_that_share_a_depth(tmp_path: Path) -> None:
    for arm, depth in (("baseline", 0), ("srgb", 0), ("freeze_1_to_3", 3)):
        our_run(tmp_path / arm, arm, [0.1], depth=depth)
    runs = find_runs([tmp_path])
    axes = Figure().subplots()
    draw_depth(axes, runs, "mAP50", arm_styles(run.arm for run in runs))
    assert all(len(line.get_xdata()) == 1 for line in axes.lines)


def test_small_differences_do_not_fill_the_depth_panel(tmp_path: Path) -> None:
    for depth, top in ((0, 0.4), (3, 0.401)):
        our_run(tmp_path / str(depth), str(depth), [top], depth=depth)
    axes = Figure().subplots()
    draw_depth(axes, find_runs([tmp_path]), "mAP50", arm_styles("03"))
    low, high = axes.get_ylim()
    assert high - low >= 0.05


def test_unfinished_runs_are_told_and_kept_out_of_means(tmp_path: Path) -> None:
    our_run(tmp_path / "r" / "a" / "seed0", "a", [0.1, 0.2])
    our_run(tmp_path / "r" / "a" / "seed1", "a", [0.9], seed=1, status="failed")
    our_run(tmp_path / "r" / "b" / "seed0", "b", [0.3], status="running")
    (tmp_path / "r" / "b" / "seed0" / "results.csv").unlink()
    text = text_of(tmp_path / "r", tmp_path)
    assert "Not final, and in no mean: a seed 1 (failed), b seed 0 (running)." in text
    assert ">b (running)<" in text
    assert "results.csv is missing: b." in text


def test_folders_without_a_metric_draw_an_empty_panel_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "classify").mkdir()
    (tmp_path / "classify" / "results.csv").write_text("epoch,metrics/accuracy_top1\n1,0.5\n")
    text = text_of(tmp_path / "classify", tmp_path)
    assert "no mAP50 in these folders" in text
    assert "no final mAP50 yet" in text


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "train", [0.1])
    code = (
        "import matplotlib; from pathlib import Path; from frostline.analysis import find_runs;"
        "from frostline.report import draw_comparison; before = dict(matplotlib.rcParams);"
        f"draw_comparison(find_runs([{str(tmp_path)!r}]), ['mAP50'], Path({str(tmp_path / 'f.svg')!r}));"
        "from matplotlib._pylab_helpers import Gcf; print(dict(matplotlib.rcParams) == before, len(Gcf.figs))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True 0"


def test_a_bad_request_is_one_clear_error_and_leaves_no_file(tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "r" / "train", [0.1])
    runs = find_runs([tmp_path / "r"])
    with pytest.raises(InputError, match=r"c\.jpg: expected a name that ends in \.png, \.svg, \.pdf"):
        draw_comparison(runs, ["mAP50"], tmp_path / "c.jpg")
    with pytest.raises(InputError, match="unknown metric"):
        draw_comparison(runs, ["mAP"], tmp_path / "c.png")
    with pytest.raises(InputError, match="no runs to draw"):
        draw_comparison([], ["mAP50"], tmp_path / "c.png")
    (tmp_path / "r" / "train" / "results.csv").write_text("epoch,a\n1\n")
    with pytest.raises(InputError, match="row 2 has 1 values"):
        draw_comparison(find_runs([tmp_path / "r"]), ["mAP50"], tmp_path / "c.png")
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("name", ["results.png", "run.svg", "audit.pdf", "Gradients.png"])
def test_the_files_of_a_run_are_never_written_over(name: str, tmp_path: Path) -> None:
    run = our_run(tmp_path / "a", "a", [0.1])
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(InputError, match="choose another name"):
        write_comparison(compare_runs(find_runs([run])), ["mAP50"], run / name)
    assert {path: path.read_bytes() for path in run.iterdir()} == before
