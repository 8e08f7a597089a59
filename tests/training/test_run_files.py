"""What a run writes, away from any training."""

from __future__ import annotations

from pathlib import Path

import pytest

from frostline import FreezePlan
from frostline.freezing import Freeze
from frostline.training.collect import merge_curves
from frostline.training.progress import Progress
from frostline.training.run import plan_name
from frostline.training.spec import RunSpec, absolute, differences, layers_in_words, stage_tag
from frostline.training.trainer import _WholeKeepingOne, trim_rows


def test_rows_after_the_saved_epoch_and_torn_ones_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("epoch, time, a\n1,1.0,5\n2,2.0,6\n3,3.0,7\n4,4")
    trim_rows(path, 2)
    assert path.read_text() == "epoch, time, a\n1,1.0,5\n2,2.0,6\n"
    trim_rows(tmp_path / "absent.csv", 2)


def test_curves_of_stages_run_on(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("epoch,time,x\n1,10,0.1\n2,20,0.2\n")
    (tmp_path / "2.csv").write_text("epoch,time,x\n1,5,0.3\n")
    assert merge_curves([tmp_path / "1.csv", tmp_path / "2.csv"]) == (
        "epoch,stage,time,x\n1,1,10,0.1\n2,1,20,0.2\n3,2,25,0.3\n"
    )


def test_a_new_checkpoint_keeps_one_before_it(tmp_path: Path) -> None:
    last = _WholeKeepingOne(tmp_path / "last.pt")
    for content in (b"one", b"two", b"three"):
        last.write_bytes(content)
    assert (tmp_path / "last.pt").read_bytes() == b"three" and (tmp_path / "previous.pt").read_bytes() == b"two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "previous.pt"]


def test_progress_survives_a_kill(tmp_path: Path) -> None:
    freeze = Freeze((0,), 5, ("0.w",), ("1.w",), (), (), ("0.bn",), 3, 4, 0)
    progress = Progress(freeze, {"loaded": 1}, {"0.w": "abc"}, ["1.w"], {1: 2.5, 2: 2.0}, 2, {"torch": 0})
    progress.save(tmp_path)
    assert Progress.load(tmp_path) == progress
    progress.forget_after(1)
    assert progress.epoch_seconds == {1: 2.5}
    (tmp_path / "progress.json").write_text("{")
    assert Progress.load(tmp_path) is None and Progress.load(tmp_path / "absent") is None


def test_differences_are_told_by_their_place() -> None:
    old = {"a": 1, "train": {"lr0": 0.1, "x": None}, "same": [1]}
    new = {"a": 1, "train": {"lr0": 0.2, "x": 3}, "same": [1], "more": "y"}
    assert differences(old, new) == ["train.lr0: 0.1 there, 0.2 now", "train.x: nothing there, 3 now",
                                     "more: nothing there, y now"]  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        (FreezePlan.none(), "baseline"),
        (FreezePlan.first(3), "freeze_1_to_3"),
        (FreezePlan.train_first(6), "first_6_only"),
        (FreezePlan.select("backbone,23.cv3"), "freeze_backbone_23.cv3"),
        (FreezePlan.two_stage(freeze="0-2"), "stages_0-2_then_none"),
        (FreezePlan.parse({"train_only": "head"}), "train_only_head"),
    ],
)
def test_a_plan_names_its_folder(plan: FreezePlan, name: str) -> None:
    assert plan_name(plan) == name


def test_frozen_layers_are_told_as_people_count_and_by_index() -> None:
    assert layers_in_words((0, 1, 2)) == "layers 1–3 frozen (indices 0..2)"
    assert layers_in_words((0,)) == "layer 1 frozen (index 0)"
    assert layers_in_words(()) == "no layers frozen"


def test_tags_are_the_references() -> None:
    assert stage_tag("freeze_1_to_3", 1, 1) == "freeze_1_to_3"
    assert [stage_tag("x", n, 2) for n in (1, 2)] == ["stage1_before_train", "stage2_before_train"]


def test_a_stage_overrides_only_what_it_names() -> None:
    plan = FreezePlan.two_stage(freeze="0-2", epochs=(5, 20))
    spec = RunSpec(arm="a", model="m", data="d", plan=plan, settings={"epochs": 100, "lr0": 0.1, "momentum": 0.9})
    assert spec.epochs == 25
    assert spec.stage_settings(plan.stages[0]) == {"epochs": 5, "lr0": 0.005, "momentum": 0.9}
    assert spec.stage_settings(plan.stages[1]) == {"epochs": 20, "lr0": 0.01, "momentum": 0.9, "cos_lr": True}
    assert "trust" not in spec.to_dict()


def test_an_official_name_stays_a_name_whether_downloaded_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("yolo11s.pt") == "yolo11s.pt"
    (tmp_path / "yolo11s.pt").write_bytes(b"")
    (tmp_path / "mine.pt").write_bytes(b"")
    assert absolute("yolo11s.pt") == absolute("yolo11s.pt", tmp_path) == "yolo11s.pt"
    assert absolute("./yolo11s.pt") == str(tmp_path / "yolo11s.pt") and absolute("mine.pt") == str(tmp_path / "mine.pt")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "mine.pt").write_bytes(b"")
    assert absolute("mine.pt", tmp_path / "beside") == str(tmp_path / "beside" / "mine.pt")
