from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frostline.analysis import experiment_folder, find_runs, find_whole_runs
from frostline.analysis.runs import natural_key
from frostline.errors import InputError
from run_folders import new_ultralytics, old_ultralytics, our_run, write_args


def names(*paths: Path) -> list[tuple[str, int | None]]:
    return [(run.arm, run.seed) for run in find_runs(paths)]


def study(folder: Path, arms: tuple[str, ...], seeds: tuple[int, ...] = (0,)) -> Path:
    for arm in arms:
        for seed in seeds:
            our_run(folder / arm / f"seed{seed}", arm, [0.1, 0.2], seed=seed)
    return folder


def test_a_study_comes_with_its_baseline_first_and_its_depths_as_a_person_counts(tmp_path: Path) -> None:
    study(tmp_path / "s", ("freeze_1_to_10", "freeze_1_to_3", "all", "baseline"), (10, 2))
    assert names(tmp_path / "s") == [
        ("baseline", 2),
        ("baseline", 10),
        ("all", 2),
        ("all", 10),
        ("freeze_1_to_3", 2),
        ("freeze_1_to_3", 10),
        ("freeze_1_to_10", 2),
        ("freeze_1_to_10", 10),
    ]
    assert names(tmp_path) == names(tmp_path / "s")


def test_a_study_file_decides_the_order_of_its_arms(tmp_path: Path) -> None:
    study(tmp_path / "s", ("baseline", "b", "a", "new"))
    (tmp_path / "s" / "study.yaml").write_text("name: s\narms:\n  b: {}\n  baseline: {}\n  a: {freeze: 0-2}\n")
    assert [arm for arm, _ in names(tmp_path / "s")] == ["b", "baseline", "a", "new"]
    assert [arm for arm, _ in names(tmp_path)] == ["b", "baseline", "a", "new"]


def test_study_arm_run_and_plain_folders_mix_in_the_order_given(tmp_path: Path) -> None:
    study(tmp_path / "s", ("baseline", "freeze_1_to_3"), (0, 1))
    new_ultralytics(tmp_path / "plain" / "train7", [0.1], seed=5)
    old_ultralytics(tmp_path / "train2", [0.1])
    found = names(
        tmp_path / "train2",
        tmp_path / "s" / "freeze_1_to_3" / "seed1",
        tmp_path / "plain",
        tmp_path / "s" / "freeze_1_to_3",
        tmp_path / "train2" / ".",
    )
    assert found == [("train2", 0), ("freeze_1_to_3", 0), ("freeze_1_to_3", 1), ("train7", 5)]


def test_stages_inside_a_run_are_no_runs_of_their_own(tmp_path: Path) -> None:
    our_run(tmp_path / "p" / "two_stage_3", "two_stage_3", [0.1, 0.2])
    new_ultralytics(tmp_path / "p" / "two_stage_3" / "stage1", [0.1])
    new_ultralytics(tmp_path / "p" / "two_stage_3" / "stage2", [0.2])
    assert names(tmp_path) == [("two_stage_3", 0)]


def test_a_failed_run_without_any_epoch_is_still_a_run(tmp_path: Path) -> None:
    our_run(tmp_path / "a", "a", [0.1], status="failed")
    (tmp_path / "a" / "results.csv").unlink()
    (run,) = find_runs([tmp_path])
    assert (run.status, run.results, run.counts) == ("failed", None, False)


def test_plain_seed_folders_are_seeds_of_the_folder_above(tmp_path: Path) -> None:
    for seed in (0, 1):
        new_ultralytics(tmp_path / "mine" / f"seed{seed}", [0.1])
    assert names(tmp_path) == [("mine", 0), ("mine", 1)]


def test_two_runs_that_claim_one_arm_and_seed_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    study(tmp_path / "x", ("baseline", "freeze_1_to_3"))
    study(tmp_path / "y", ("baseline", "freeze_1_to_4"))
    assert [arm for arm, _ in names(tmp_path / "x", tmp_path / "y")] == [
        "x/baseline",
        "x/freeze_1_to_3",
        "y/baseline",
        "y/freeze_1_to_4",
    ]
    our_run(tmp_path / "flat" / "freeze_1_to_3", "freeze_1_to_3", [0.1])
    our_run(tmp_path / "flat" / "freeze_1_to_32", "freeze_1_to_3", [0.1])
    assert [arm for arm, _ in names(tmp_path / "flat")] == ["freeze_1_to_3", "freeze_1_to_32"]


def test_other_seeds_of_an_arm_in_another_folder_are_its_seeds(tmp_path: Path) -> None:
    study(tmp_path / "x", ("baseline",), (0,))
    study(tmp_path / "y", ("baseline",), (1,))
    assert names(tmp_path / "x", tmp_path / "y") == [("baseline", 0), ("baseline", 1)]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    study(tmp_path / "s", ("baseline",))
    (tmp_path / "s" / "baseline" / "again").symlink_to(tmp_path / "s")
    (tmp_path / "picked").mkdir()
    (tmp_path / "picked" / "baseline").symlink_to(tmp_path / "s" / "baseline")
    assert names(tmp_path / "picked", tmp_path / "s") == [("baseline", 0)]


def test_hidden_folders_weights_and_reports_are_not_searched(tmp_path: Path) -> None:
    study(tmp_path, ("baseline",))
    for name in (".old", "weights", "report"):
        new_ultralytics(tmp_path / name / "train", [0.1])
    assert names(tmp_path) == [("baseline", 0)]


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    write_args(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}: no results; expected results.csv or run.json"):
        find_runs([tmp_path])
    with pytest.raises(InputError, match="nowhere: no such folder"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"args\.yaml: is a file, expected its folder"):
        find_runs([tmp_path / "args.yaml"])


@pytest.mark.parametrize("text", ['{"arm": "a"', "[]", "\ufffd"])
def test_a_broken_record_is_named_in_one_warning_and_the_others_are_found(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study(tmp_path, ("baseline", "freeze_1_to_3"))
    broken = tmp_path / "baseline" / "seed0" / "run.json"
    broken.write_text(text)
    assert names(tmp_path) == [("baseline", 0), ("freeze_1_to_3", 0)]  # by its folders
    assert [run.arm for run in find_whole_runs([tmp_path])] == ["freeze_1_to_3"]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"warning: {broken}: ") and "left out" in caplog.messages[0]
    with pytest.raises(InputError, match=r"run\.json: "):
        find_whole_runs([tmp_path / "baseline"])


def test_a_broken_study_file_or_args_file_is_named_in_one_line(tmp_path: Path) -> None:
    study(tmp_path, ("baseline",))
    (tmp_path / "study.yaml").write_text("arms: {a: [}\nb")
    with pytest.raises(InputError, match=r"study\.yaml: cannot be read as YAML") as caught:
        find_runs([tmp_path])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("freeze", "depth"),
    [(None, 0), (0, 0), (3, 3), ([0, 1, 2], 3), ([], 0), ([1, 2], None), ([22], None), ("23.cv2", None), (True, None)],
)
def test_the_freeze_depth_of_a_plain_folder_is_that_of_its_arguments(
    freeze: Any, depth: int | None, tmp_path: Path
) -> None:
    (run,) = find_runs([new_ultralytics(tmp_path / "train", [0.1], freeze=freeze)])
    assert run.freeze_depth == depth
    (run.path / "args.yaml").unlink()
    assert find_runs([run.path])[0].freeze_depth is None


def test_our_record_alone_tells_our_freeze_depth(tmp_path: Path) -> None:
    our_run(tmp_path / "a", "a", [0.1], depth=4)
    our_run(tmp_path / "b", "b", [0.1], depth=None)
    write_args(tmp_path / "b", freeze=9)
    assert [run.freeze_depth for run in find_runs([tmp_path])] == [4, None]


def test_seconds_an_epoch_is_the_median_of_the_record_else_of_the_time_column(tmp_path: Path) -> None:
    (ours,) = find_runs([our_run(tmp_path / "a", "a", [0.1] * 3)])
    assert ours.seconds_an_epoch == 5.0  # of 9, 4, 5
    (plain,) = find_runs([new_ultralytics(tmp_path / "b", [0.1] * 4, seconds=7.0)])
    assert plain.seconds_an_epoch == 7.0
    (old,) = find_runs([old_ultralytics(tmp_path / "c", [0.1])])
    assert old.seconds_an_epoch is None


def test_natural_order_counts_numbers() -> None:
    assert sorted(["1-10", "1-3", "a10b", "a9c", "A9b"], key=natural_key) == ["1-3", "1-10", "A9b", "a9c", "a10b"]


def test_short_names_of_experiments_find_their_folders(tmp_path: Path) -> None:
    for name in ("runs/train/freeze_1_to_3", "runs/1-4", "here/1-3"):
        (tmp_path / name).mkdir(parents=True)
    places = [tmp_path / "runs/train", tmp_path / "runs"]
    assert experiment_folder("1-3", places) == tmp_path / "runs/train/freeze_1_to_3"
    assert experiment_folder("1_to_3", places) == tmp_path / "runs/train/freeze_1_to_3"
    assert experiment_folder("1-4", places) == tmp_path / "runs/1-4"
    assert experiment_folder(str(tmp_path / "here/1-3"), places) == tmp_path / "here/1-3"
    assert experiment_folder("1-3", [tmp_path / "here", *places]) == tmp_path / "here/1-3"
    with pytest.raises(InputError, match="13: no such experiment folder; looked for"):
        experiment_folder("13", places)
