from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from frostline.analysis import Comparison, compare_runs, find_runs
from frostline.report import runs_table, summary_table
from run_folders import new_ultralytics, our_run

METRICS = ("mAP50", "mAP50-95")


def printed(comparison: Comparison, width: int) -> tuple[list[str], list[str]]:
    console = Console(file=StringIO(), width=width)
    table, left_out = runs_table(comparison, METRICS, console)
    console.print(table)
    arms = summary_table(comparison, METRICS, console)
    if arms is not None:
        console.print(arms)
    return console.file.getvalue().splitlines(), left_out


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_table_fits_and_keeps_names_and_metrics_whole(width: int, tmp_path: Path) -> None:
    for seed in (0, 1):
        for arm in ("baseline", "freeze_1_to_10", "two_stage_10"):
            our_run(tmp_path / arm / f"seed{seed}", arm, [0.123, 0.4567], seed=seed, depth=0)
    lines, left_out = printed(compare_runs(find_runs([tmp_path]), METRICS, ("Pedestrian",)), width)
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.startswith("two_stage_10")]
    assert [row[:2] for row in rows[:2]] == [["two_stage_10", "0"], ["two_stage_10", "1"]]
    assert all({"0.467", "0.233"} <= set(row) for row in rows[:2])
    assert rows[2][1:5] == ["2", "0.467", "[0.467,", "0.467]"]
    assert (not left_out) == (width == 160)


def test_what_cannot_be_shown_at_a_width_is_named_unless_it_is_empty(tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "train", [0.2, 0.3])
    _, left_out = printed(compare_runs(find_runs([tmp_path])), 40)
    assert {"precision", "recall"} <= set(left_out)
    assert not {"AP_small", "overfitting_gap", "peak_rss_bytes"} & set(left_out)


def test_empty_columns_make_way_before_any_other(tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "train", [0.2, 0.3])
    lines, left_out = printed(compare_runs(find_runs([tmp_path])), 75)
    assert not left_out
    assert "RAM" not in lines[0]


def test_an_empty_cell_is_blank_and_a_name_is_never_markup(tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "[red]x[link=y]", [0.2, 0.3])
    our_run(tmp_path / "[bold]a", "[bold]a", [0.2, 0.3])
    lines, _ = printed(compare_runs(find_runs([tmp_path])), 160)
    plain, ours = (next(line for line in lines if line.startswith(name)) for name in ("[red]x[link=y]", "[bold]a"))
    assert "+0.125" in ours
    assert "+" not in plain
    assert "0.000" not in plain


def test_a_long_name_is_folded_and_not_cut(tmp_path: Path) -> None:
    name = "a_name_of_a_folder_that_holds_every_setting_of_the_run_" + "0123456789" * 4
    new_ultralytics(tmp_path / name, [0.2])
    lines, _ = printed(compare_runs(find_runs([tmp_path])), 80)
    assert "".join(line.split()[0] for line in lines[3:] if line.strip()).startswith(name)


def test_without_a_second_seed_there_is_no_table_of_arms(tmp_path: Path) -> None:
    our_run(tmp_path / "a", "a", [0.2])
    our_run(tmp_path / "b", "b", [0.2])
    assert summary_table(compare_runs(find_runs([tmp_path])), METRICS, Console(width=80)) is None
