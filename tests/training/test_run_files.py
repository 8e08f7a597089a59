"""What a run writes, away from any training."""

from __future__ import annotations

from pathlib import Path

import pytest

from frostline import FreezePlan
from frostline.analysis import DetectionTable, PredictionSettings, write_predictions
from frostline.freezing import Freeze
from frostline.training import Prepared, Transfer
from frostline.training.collect import collect_stages, merge_curves
from frostline.training.preparing import few_steps
from frostline.training.progress import Progress
from frostline.training.saving import WholeKeepingOne, last_time, trim_rows
from frostline.training.spec import RunSpec, absolute, differences, layers_in_words, plan_name, stage_tag
from frostline.training.stage import StageResult


def test_rows_after_the_saved_epoch_and_torn_ones_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("epoch, time, a\n1,1.0,5\n2,2.0,6\n3,3.0,7\n4,4")
    trim_rows(path, 2)
    assert path.read_text() == "epoch, time, a\n1,1.0,5\n2,2.0,6\n"
    assert last_time(path) == 2.0 and last_time(tmp_path / "absent.csv") == 0.0
    trim_rows(path, 0)
    assert last_time(path) == 0.0
    trim_rows(tmp_path / "absent.csv", 2)


def test_curves_of_stages_run_on(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("epoch,time,x\n1,10,0.1\n2,20,0.2\n")
    (tmp_path / "2.csv").write_text("epoch,time,x\n1,5,0.3\n")
    assert merge_curves([tmp_path / "1.csv", tmp_path / "2.csv"]) == (
        "epoch,stage,time,x\n1,1,10,0.1\n2,1,20,0.2\n3,2,25,0.3\n"
    )


def test_a_new_checkpoint_keeps_one_before_it(tmp_path: Path) -> None:
    last = WholeKeepingOne(tmp_path / "last.pt")
    for content in (b"one", b"two", b"three"):
        last.write_bytes(content)
    assert (tmp_path / "last.pt").read_bytes() == b"three" and (tmp_path / "previous.pt").read_bytes() == b"two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "previous.pt"]


def test_a_kill_between_the_two_names_of_a_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    """rename(2) does nothing where both names are of one file, as they are after such a kill."""
    last = WholeKeepingOne(tmp_path / "last.pt")
    last.write_bytes(b"1")
    (tmp_path / "previous.pt").hardlink_to(tmp_path / "last.pt")
    last.write_bytes(b"2")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"last.pt": b"2", "previous.pt": b"1"}


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


def stage_folder(folder: Path, fitness: float, epochs: int, best: int) -> StageResult:
    (folder / "weights").mkdir(parents=True)
    for name in ("best.pt", "last.pt"):
        (folder / "weights" / name).write_text(f"{folder.name} {name}")
    rows = "".join(f"{epoch},{epoch}.0\n" for epoch in range(1, epochs + 1))
    (folder / "results.csv").write_text(f"epoch,time\n{rows}")
    (folder / "gradients.csv").write_text(f"epoch,layer_0\n{rows}")
    (folder / "BoxPR_curve.png").write_text(folder.name)
    settings = PredictionSettings(max_det=300, conf=0.001, iou=0.7, names={0: "Car"})
    write_predictions(folder / "predictions.parquet", DetectionTable().frame, settings)
    freeze = Freeze((0,), 5, ("0.w",), ("1.w",), (), (), ("0.bn",), 3, 4, 0)
    seconds = {epoch: 2.0 for epoch in range(1, epochs + 1)}
    progress = Progress(freeze, {"loaded": 1}, epoch_seconds=seconds, best_epoch=best)
    return StageResult(folder, {"mAP50-95": fitness}, {}, {"verdict": "PASS"}, best, progress)


@pytest.mark.parametrize(("second", "kept", "epoch"), [(0.2, "stage1", 2), (0.4, "stage2", 5)])
def test_the_better_stage_is_kept_and_a_worse_second_one_is_told(
    second: float, kept: str, epoch: int, tmp_path: Path
) -> None:
    results = [stage_folder(tmp_path / "stage1", 0.3, 3, 2), stage_folder(tmp_path / "stage2", second, 4, 2)]
    plan = FreezePlan.two_stage(freeze="0", epochs=(3, 4))
    spec = RunSpec(arm="two", model="m", data="d", plan=plan, settings={"epochs": 7})
    prepared = Prepared((results[0].progress.freeze,), Transfer(1, 2, frozenset({"1.w"}), "m.pt"), 7, 0, 64)
    said: list[str] = []
    record = collect_stages(spec, tmp_path, results, prepared, said.append)
    assert (tmp_path / "weights" / "best.pt").read_text() == f"{kept} best.pt"
    assert (tmp_path / "weights" / "last.pt").read_text() == "stage2 last.pt"
    assert (tmp_path / "BoxPR_curve.png").read_text() == kept
    assert record["best"] == {"stage": int(kept[-1]), "epoch": epoch, "weights": "weights/best.pt"}
    assert record["audit"] == "PASS" and len(record["epoch_seconds"]) == 7
    told = [text for text in said if "stage 2 ends below stage 1's best" in text]
    assert bool(told) == (second < 0.3)
    assert not told or ("0.2000 against 0.3000" in told[0] and "lower lr0" in told[0])


def test_one_failed_stage_fails_the_run(tmp_path: Path) -> None:
    results = [stage_folder(tmp_path / "stage1", 0.3, 1, 1), stage_folder(tmp_path / "stage2", 0.4, 1, 1)]
    results[0].audit["verdict"] = "FAIL"
    plan = FreezePlan.two_stage(freeze="0", epochs=(1, 1))
    spec = RunSpec(arm="two", model="m", data="d", plan=plan, settings={"epochs": 2})
    prepared = Prepared((results[0].progress.freeze,), Transfer(1, 2, frozenset(), "m.pt"), 7, 0, 64)
    record = collect_stages(spec, tmp_path, results, prepared, lambda _text: None)
    assert record["audit"] == "FAIL"


@pytest.mark.parametrize(
    ("batch", "nbs", "epochs", "told"),
    [(8, 64, 3, "about 3 "), (8, 64, 30, None), (8, 8, 3, None), (8, 8, 2, "about 20 ")],
)
def test_a_stage_of_few_optimizer_steps_is_told(batch: int, nbs: int, epochs: int, told: str | None) -> None:
    spec = RunSpec(arm="a", model="m", data="d", plan=FreezePlan.none(), settings={"batch": batch, "nbs": nbs})
    note = few_steps(spec, 80, epochs)
    assert (note is None) if told is None else (note is not None and told in note)
