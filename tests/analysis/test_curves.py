from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from frostline.analysis import METRICS, best_epoch, epoch_seconds, epochs_to_fraction, metric_name, read_results
from frostline.errors import InputError
from run_folders import NEW_HEADER, new_ultralytics, old_ultralytics

VALUES = [0.1, 0.3, 0.25]


def test_old_padded_and_new_files_read_alike(tmp_path: Path) -> None:
    new = read_results(new_ultralytics(tmp_path / "new", VALUES) / "results.csv")
    old = read_results(old_ultralytics(tmp_path / "old", VALUES) / "results.csv")
    assert new.columns == old.columns
    assert new.columns[:7] == ["epoch", "stage", "time", "mAP50", "mAP50-95", "precision", "recall"]
    assert new.drop("time").equals(old.drop("time"), null_equal=True)
    assert new.get_column("mAP50").to_list() == VALUES
    assert new.get_column("mAP50-95").to_list() == [0.05, 0.15, 0.125]
    assert new.get_column("precision").to_list() == [0.2, 0.4, 0.35]
    assert new.get_column("recall").to_list() == [0.05, 0.25, 0.2]
    assert new.get_column("train/box_loss").to_list() == [1.5] * 3
    assert new.get_column("time").to_list() == [10, 20, 30]
    assert old.get_column("time").null_count() == 3
    assert old.get_column("stage").null_count() == 3


def test_epochs_counted_from_zero_are_counted_from_one(tmp_path: Path) -> None:
    results = read_results(old_ultralytics(tmp_path, VALUES, first_epoch=0) / "results.csv")
    assert results.get_column("epoch").to_list() == [1, 2, 3]


def test_the_names_of_the_yolov5_repository_are_known(tmp_path: Path) -> None:
    text = (
        "   epoch,  metrics/precision, metrics/recall, metrics/mAP_0.5,metrics/mAP_0.5:0.95\n 0, 0.1, 0.2, 0.3, 0.4\n"
    )
    (tmp_path / "results.csv").write_text(text)
    row = read_results(tmp_path / "results.csv").row(0, named=True)
    assert [row[name] for name in ("precision", "recall", "mAP50", "mAP50-95")] == [0.1, 0.2, 0.3, 0.4]


def test_nan_and_infinity_are_missing_values_and_stay_out_of_the_best(tmp_path: Path) -> None:
    text = "epoch,metrics/mAP50(B),metrics/mAP50-95(B)\n1,0.2,0.1\n2,nan,nan\n3,,inf\n"
    (tmp_path / "results.csv").write_text(text)
    results = read_results(tmp_path / "results.csv")
    assert results.get_column("mAP50").to_list() == [0.2, None, None]
    assert best_epoch(results) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no epochs in it"),
        (NEW_HEADER + "\n", "no epochs in it"),
        ("epoch,a\n1,2\n2,3,4\n", "row 3 has 3 values for 2 columns"),
        ("epoch,a\n1\n2,3\n", "row 2 has 1 values for 2 columns"),
        ("epoch,a\n1,much\n", "'much' in row 2, column 'a' is not a number"),
        ("epoch,a\n1,2\n,3\n", "a row without an epoch"),
        ("a,b\n1,2\n", "not a results.csv of Ultralytics"),
        ("epoch,a, a\n1,2,3\n", "no name twice"),
        ("\0\1", "no epochs in it"),
    ],
)
def test_a_file_that_cannot_be_right_is_one_clear_error(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(InputError, match=fault) as caught:
        read_results(tmp_path / "results.csv")
    assert str(tmp_path / "results.csv") in str(caught.value)


def test_bytes_that_are_no_text_and_a_missing_file_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_results(tmp_path / "results.csv")
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_results(tmp_path / "results.csv")


def test_a_line_cut_off_by_a_kill_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = new_ultralytics(tmp_path, VALUES) / "results.csv"
    path.write_text(path.read_text()[:-40])
    with caplog.at_level(logging.WARNING):
        assert read_results(path).get_column("mAP50").to_list() == VALUES[:2]
    assert "cut off" in caplog.text


def test_an_epoch_that_a_resumed_run_wrote_twice_counts_once_with_its_later_row(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("epoch,metrics/mAP50(B)\n1,0.1\n2,0.2\n3,0.9\n2,0.25\n3,0.3\n")
    results = read_results(tmp_path / "results.csv")
    assert results.select("epoch", "mAP50").rows() == [(1, 0.1), (2, 0.25), (3, 0.3)]


def test_the_best_of_equal_epochs_is_the_last_as_ultralytics_writes_it_again() -> None:
    frame = pl.DataFrame({"epoch": [1, 2, 3, 4], "mAP50": [0.9, 0.1, 0.1, 0.1], "mAP50-95": [0.1, 0.2, 0.2, 0.15]})
    assert best_epoch(frame) == 3
    assert best_epoch(frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("mAP50-95"))) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Final value: mean of 0.48, 0.5, 0.52, 0.5, 0.5 = 0.5; 90 % of it is 0.45.
        ([0.1, 0.44, 0.46, 0.3, 0.48, 0.5, 0.52, 0.5, 0.5], 3),
        ([0.45, 0.0, 0.48, 0.5, 0.52, 0.5, 0.5], 1),
        ([0.7], 1),
        ([0.1, 0.5, 0.6], 2),  # shorter than the tail: mean of all is 0.4, 90 % is 0.36
        ([None, math.nan, 0.5, 0.5, 0.5], 3),
        ([], None),
        ([0.0] * 8, None),
        ([None, math.nan], None),
        ([0.2, None, None, None, None, None], None),  # nothing to call final
    ],
)
def test_epochs_to_90_percent_of_the_final_value(values: list[float | None], expected: int | None) -> None:
    assert epochs_to_fraction(values) == expected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.05, 1), st.integers(1, 10))
def test_the_crossing_is_the_first_epoch_at_or_above_the_fraction(
    values: list[float], fraction: float, tail: int
) -> None:
    final = float(np.mean(values[-tail:]))
    assume(final > 1e-9)
    epoch = epochs_to_fraction(values, fraction, tail)
    assert epoch is not None
    assert values[epoch - 1] >= fraction * final - 1e-12
    assert all(value < fraction * final + 1e-12 for value in values[: epoch - 1])
    assert epochs_to_fraction(values, fraction / 2, tail) <= epoch
    assert epochs_to_fraction([value * 4 for value in values], fraction, tail) == epoch


def test_epoch_seconds_are_differences_and_start_again_where_the_clock_does() -> None:
    frame = pl.DataFrame({"time": [10.0, 25.0, None, 45.0, 12.0, 20.0]})
    assert epoch_seconds(frame) == [10.0, 15.0, 20.0, 12.0, 8.0]
    assert epoch_seconds(pl.DataFrame({"time": [None, None]}, schema={"time": pl.Float64})) == []


def test_a_metric_is_known_by_any_of_its_spellings_and_a_wrong_one_gets_a_hint() -> None:
    assert [metric_name(word) for word in ("map50", "mAP50-95", "metrics/mAP50(B)", " Recall")] == [
        "mAP50",
        "mAP50-95",
        "mAP50",
        "recall",
    ]
    with pytest.raises(
        InputError, match=r"unknown metric 'mAP05', did you mean 'mAP50'\? \(known: " + ", ".join(METRICS)
    ):
        metric_name("mAP05")
