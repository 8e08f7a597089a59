from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frostline.analysis import RunFolder, find_runs
from frostline.analysis.gradients import read_gradients
from frostline.errors import InputError
from frostline.training.collect import merge_curves
from frostline.training.gradients import append_gradients
from frostline.training.saving import trim_rows
from run_folders import our_run


def table(folder: Path) -> RunFolder:
    return find_runs([folder])[0]


def test_relative_norms_are_norms_over_weights_and_frozen_layers_stay_empty(tmp_path: Path) -> None:
    run = our_run(tmp_path / "run", "baseline", [0.1, 0.2, 0.3])
    file = run / "gradients.csv"
    append_gradients(file, 1, {1: 3.0, 2: 8.0}, {1: 2.0, 2: 4.0}, 3)
    append_gradients(file, 2, {}, {1: 2.0, 2: 4.0}, 3)
    append_gradients(file, 3, {1: float("nan"), 2: 1.0}, {1: 2.0, 2: 4.0}, 3)
    lines = file.read_text().splitlines()
    assert lines[0] == "epoch,layer_0,layer_1,layer_2,relative_0,relative_1,relative_2"
    assert lines[1] == "1,,3,8,,1.5,2" and lines[2] == "2,,,,,," and lines[3] == "3,,nan,1,,nan,0.25"
    read = read_gradients(table(run))
    assert read.measured.tolist() == [True, False, True]
    assert read.silent.tolist() == [[False] * 3, [False, False, True], [False] * 3]
    nan = np.nan
    np.testing.assert_equal(read.relative, np.array([[nan] * 3, [1.5, nan, nan], [2, nan, 0.25]]))
    trim_rows(file, 2)
    assert file.read_text().splitlines() == lines[:3]


def test_a_file_of_an_earlier_version_goes_on_as_it_began_and_is_read(tmp_path: Path) -> None:
    run = our_run(tmp_path / "run", "baseline", [0.1, 0.2])
    file = run / "gradients.csv"
    file.write_text("epoch,layer_0,layer_1\n1,,0.5\n")
    append_gradients(file, 2, {1: 3.0}, {1: 2.0}, 2)
    assert file.read_text().splitlines()[-1] == "2,,3"
    read = read_gradients(table(run))
    assert read.relative is None and read.norm[1].tolist() == [0.5, 3.0]


def test_stages_follow_one_another_merged_or_not(tmp_path: Path) -> None:
    run = our_run(tmp_path / "run", "two", [0.1, 0.2, 0.3])
    for stage, epochs in ((1, 2), (2, 1)):
        (run / f"stage{stage}").mkdir()
        for epoch in range(1, epochs + 1):
            append_gradients(run / f"stage{stage}" / "gradients.csv", epoch, {0: float(stage)}, {0: 1.0}, 1)
    going = read_gradients(table(run))
    (run / "gradients.csv").write_text(merge_curves([run / f"stage{n}" / "gradients.csv" for n in (1, 2)]))
    done = read_gradients(table(run))
    assert going.stages == done.stages == (3,)
    assert going.norm.tolist() == done.norm.tolist() == [[1.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no table"), ("epoch,layer_0\n", "no table"), ("epoch,layer_0\n1,x\n", "expected a number")],
)
def test_another_table_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    run = our_run(tmp_path / "run", "baseline", [0.1])
    (run / "gradients.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_gradients(table(run))
