from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from frostline import FreezePlan, InputError, Study
from frostline.studies import StudyFile, ablation, parse_depths, parse_seeds

BASE = {"model": "m.pt", "data": "d.yaml", "train": {"epochs": 6}, "arms": {"baseline": {}, "f": {"freeze": "0-2"}}}


def test_a_study_resolves_and_reads_back_to_itself() -> None:
    study = StudyFile.parse({**BASE, "hypotheses": [{"name": "h", "better": "f"}]})
    assert study.arms["f"].plan == FreezePlan.first(3).with_epochs(6)
    assert study.train["optimizer"] == "SGD" and study.seeds == (0,)
    again = StudyFile.parse(yaml.safe_load(study.to_yaml()))
    assert again == study and again.to_dict() == study.to_dict()


def test_the_designs_own_study_file_is_read(tmp_path: Path) -> None:
    text = """
name: freeze-depth
model: yolo11s.pt
data: data.yaml
train: {epochs: 300, imgsz: 1280, batch: 12, optimizer: SGD, lr0: 0.01, momentum: 0.937, weight_decay: 0.0005,
        warmup_epochs: 3, preset: log-chroma}
seeds: [0, 1, 2]
arms:
  baseline: {}
  freeze_1_to_3: {freeze: 0-2}
  first_6_only: {train_only: 0-5}
  two_stage_3: {stages: [{epochs: 50, freeze: 0-2, lr0: 0.005}, {epochs: 250, cos_lr: true}]}
  srgb: {data: srgb/data.yaml}
hypotheses:
  - {name: shallow freezing helps, metric: mAP50, better: freeze_1_to_3, than: baseline}
on: here
"""
    (tmp_path / "srgb").mkdir()
    (tmp_path / "srgb" / "data.yaml").write_text("")
    (tmp_path / "study.yaml").write_text(text)
    study = StudyFile.from_yaml(tmp_path / "study.yaml")
    assert [arm.plan.total_epochs for arm in study.arms.values()] == [300] * 5
    assert study.arms["srgb"].data == str(tmp_path / "srgb" / "data.yaml") and study.model == "yolo11s.pt"
    assert study.train["hsv_h"] == 0 and study.train["hsv_v"] == 0.4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modle": "x"}, "unknown key 'modle', did you mean 'model'"),
        ({"model": None}, "no model"),
        ({"arms": {}}, "no arms"),
        ({"arms": ["baseline"]}, "arms: expected a name and a plan"),
        ({"arms": {"a/b": {}}}, "'a/b' becomes a folder"),
        ({"arms": {"..": {}}}, "becomes a folder"),
        ({"arms": {"report": {}}}, "no arm can be called 'report'"),
        ({"arms": {"x": {"freze": "0"}}}, "arm x: unknown key 'freze'"),
        ({"arms": {"x": {"freeze": "0-"}}}, "arm x: freeze: selector '0-'"),
        ({"seeds": [1, 1]}, "a seed is given twice"),
        ({"seeds": []}, r"^study file: seeds: expected a list of whole numbers such as \[0, 1, 2\], got \[\]$"),
        ({"seeds": "x"}, r"seeds: expected a list of whole numbers such as \[0, 1, 2\], got 'x'$"),
        ({"seeds": [0, -1]}, r"seeds: expected a list of whole numbers .*, got \[0, -1\]$"),
        ({"seeds": None}, r"seeds: expected a list of whole numbers .*, got nothing$"),
        ({"name": [1]}, r"name: expected text, got \[1\]$"),
        ({"name": "a\n"}, "becomes a folder"),
        ({"unequal_epochs": "maybe"}, "unequal_epochs: expected true or false, got 'maybe'$"),
        ({"hypotheses": "hello"}, "hypotheses: expected a list of entries such as .*, got 'hello'$"),
        ({"hypotheses": [{"name": "h"}]}, "hypotheses.1.better: is missing$"),
        ({"hypotheses": [{"name": "h", "better": "f", "if": 1}]}, "hypotheses.1.if: there is no such key$"),
        ({"model": {"a": 1}}, "model: expected a path or a name, got {'a': 1}$"),
        ({"arms": {"x": {"data": [1]}}}, r"arm x: data: expected a path, got \[1\]$"),
        ({"arms": {"x": {"epochs": "x"}}}, "arm x: epochs: expected a whole number, got 'x'$"),
        ({"arms": {"x": {"lr0": -1}}}, "arm x: lr0: expected a number above 0, got -1$"),
        ({"arms": {"x": {"freeze": "0", "train_only": "1"}}}, "arm x: give freeze or train_only, not both$"),
        ({"arms": {"x": {"stages": [3]}}}, "arm x: stages.1: expected key: value pairs, got 3$"),
        ({"train": {"lr": 1}}, "train: unknown training argument 'lr'"),
        ({"on": "mars"}, "on: 'mars': no such place; there are here, processes:N, ray, slurm"),
        ({"hypotheses": [{"name": "h", "better": "g"}]}, "no arm 'g'"),
        ({"hypotheses": [{"name": "h", "better": "f", "metric": "mAP5"}]}, "no metric 'mAP5', did you mean 'mAP50'"),
        (
            {"arms": {"baseline": {}, "x": {"stages": [{"epochs": 1, "freeze": "0"}, {"epochs": 1}]}}},
            r"arms differ in their epochs \(baseline 6, x 2\)",
        ),
    ],
)
def test_a_bad_study_is_one_clear_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        StudyFile.parse({**BASE, **change})
    assert "\n" not in str(error.value)


def test_unequal_epochs_are_allowed_when_the_file_says_so() -> None:
    arms = {"baseline": {}, "x": {"stages": [{"epochs": 1, "freeze": "0"}, {"epochs": 1}]}}
    study = StudyFile.parse({**BASE, "arms": arms, "unequal_epochs": True})
    assert study.arms["x"].plan.total_epochs == 2


def test_an_ablation_has_one_arm_a_depth_and_equal_epochs() -> None:
    study = ablation("m.pt", "d.yaml", (3, 6), {"epochs": 12}, two_stage=True, seeds=(0, 1))
    assert list(study.arms) == ["baseline", "freeze_1_to_3", "freeze_1_to_6", "two_stage_3", "two_stage_6"]
    assert {arm.plan.total_epochs for arm in study.arms.values()} == {12}
    assert [s.epochs for s in study.arms["two_stage_3"].plan.stages] == [2, 10]
    assert [arm.plan.freeze_depth for arm in study.arms.values()] == [0, 3, 6, None, None]
    assert list(ablation("m.pt", "d.yaml", (3,), {}, baseline=False).arms) == ["freeze_1_to_3"]


def test_seeds_come_one_after_the_other_and_arms_within_them(tmp_path: Path) -> None:
    study = Study(ablation("m.pt", "d.yaml", (3,), {}, seeds=(0, 1)), tmp_path)
    assert [run.label for run in study.runs()] == [
        "baseline/seed0", "freeze_1_to_3/seed0", "baseline/seed1", "freeze_1_to_3/seed1",
    ]  # fmt: skip
    assert study.runs()[3].folder == tmp_path / "freeze_1_to_3" / "seed1"
    assert {state.status for state in study.states()} == {"waiting"}


@pytest.mark.parametrize("wrong", ["", "0", "-3", "x", "3,3", "3.5"])
def test_depths_that_are_none_are_refused(wrong: str) -> None:
    with pytest.raises(InputError):
        parse_depths(wrong)


def test_lists_are_read() -> None:
    assert parse_depths("3, 4,5") == (3, 4, 5) and parse_seeds("0,1") == (0, 1)
    for wrong in ("", "-1", "a"):
        with pytest.raises(InputError):
            parse_seeds(wrong)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not a study"):
        Study(ablation("m.pt", "d.yaml", (3,), {}), tmp_path).check_folder()
    with pytest.raises(InputError, match=r"no study.yaml"):
        Study.from_yaml(tmp_path)


def test_an_arm_may_start_from_its_own_weights_or_from_none(tmp_path: Path) -> None:
    arms = {
        "baseline": {},
        "from_scratch": {"model": "y.yaml"},
        "other": {"weights": "w2.pt"},
        "gradual": {"freeze": "backbone", "unfreeze": {"every": 1, "from": "input"}},
    }
    study = Study(StudyFile.parse({**BASE, "model": "y.yaml", "weights": "w.pt", "arms": arms}), tmp_path)
    start = {run.spec.arm: (run.spec.model, run.spec.weights) for run in study.runs()}
    assert start == {
        "baseline": ("y.yaml", "w.pt"), "from_scratch": ("y.yaml", None), "other": ("y.yaml", "w2.pt"),
        "gradual": ("y.yaml", "w.pt"),
    }  # fmt: skip
    assert StudyFile.parse(yaml.safe_load(study.file.to_yaml())) == study.file
    with pytest.raises(InputError, match="arm a: model: expected a path"):
        StudyFile.parse({**BASE, "arms": {"a": {"model": 3}}})


def begun(folder: Path, **train: object) -> Path:
    """Write a study's folder as `Study.begin` leaves it, but for what is given."""
    study = ablation("m.pt", "d.yaml", (3, 5), {"epochs": 12, "lr0": 0.02}, two_stage=True, seeds=(0, 1))
    values = yaml.safe_load(study.to_yaml())
    values["train"] |= train
    folder.mkdir()
    (folder / "study.yaml").write_text(yaml.safe_dump(values))
    return folder


def test_a_look_at_a_study_finds_the_same_runs_as_opening_it(tmp_path: Path) -> None:
    folder = begun(tmp_path / "s")
    looked, opened = Study.look(folder), Study.from_yaml(folder)
    assert looked.file == opened.file and looked.runs() == opened.runs()


def test_a_study_that_is_not_written_out_can_be_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "model: m.pt\ndata: d.yaml\ntrain: {epochs: 4}\narms: {a: , b: {freeze: 0-2}}\n"
    )
    assert [(state.arm, state.epochs) for state in Study.look(tmp_path).states()] == [("a", 4), ("b", 4)]


@pytest.mark.parametrize(
    ("train", "message"),
    [({"epochs": 0}, "train: epochs: expected"), ({"lr0": "x"}, "train: lr0: expected"),
     ({"dis": "x"}, "train: dis: it weighs")],
)  # fmt: skip
def test_a_look_at_a_damaged_study_is_one_clear_line(tmp_path: Path, train: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Study.look(begun(tmp_path / "s", **train))


def test_a_folder_without_a_study_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study\.yaml in this folder"):
        Study.look(tmp_path)
