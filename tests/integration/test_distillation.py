"""Distillation on a real detector: the teacher teaches, stays as it was, and leaves nothing of itself behind."""

from __future__ import annotations

import json
import pickletools
import shutil
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from test_resume import StopAfter, column
from tiny import SETTINGS, save_checkpoint

import frostline as fl
from frostline.training import AuditError
from frostline.training.checkpoints import saved_tensors

pytestmark = [pytest.mark.integration, pytest.mark.slow]
FOUR = {**SETTINGS, "epochs": 4}
ROLES: dict[str, Any] = {"freeze": "backbone,neck", "unfreeze": {"every": 1, "by": "role"}}


@pytest.fixture(scope="module")
def teacher(tiny_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twice as wide as the student, for seven classes of its own."""
    from ultralytics.nn.tasks import DetectionModel

    config = yaml.safe_load(tiny_yaml.read_text()) | {"scales": {"n": [0.33, 0.125, 128]}}
    path = tmp_path_factory.mktemp("teacher") / "yolo11n-wide.yaml"
    path.write_text(yaml.safe_dump(config))
    torch.manual_seed(5)
    model = DetectionModel(str(path), nc=7, verbose=False)
    model.args = {}
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    return save_checkpoint(model, path.with_name("wide.pt"))


def audit(folder: Path) -> dict[str, dict[str, Any]]:
    record = json.loads((folder / "audit.json").read_text())
    checks = [check for stage in record.get("stages", [record]) for check in stage["checks"]]
    return {check["name"]: check for check in checks}


def pickled_globals(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        data = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    strings: list[str] = []
    found = set()
    for code, value, _ in pickletools.genops(data):
        if code.name == "GLOBAL":
            found.add(str(value).replace(" ", "."))
        elif code.name == "STACK_GLOBAL":
            found.add(".".join(strings[-2:]))
        if isinstance(value, str):
            strings.append(value)
    return found


@pytest.mark.parametrize(
    "plan",
    [{"freeze_first": 3}, ROLES, {"freezeout": {"first": 0.5}}, {"rates": "auto"}],
    ids=["fixed", "gradual", "freezeout", "rgn"],
)
def test_a_distilled_run_audits_its_teacher_and_keeps_the_student_alone(
    plan: dict[str, Any], teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from ultralytics import YOLO

    run = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.parse(plan), teacher=teacher, project=tmp_path, name="d",
        device="cpu", **FOUR,
    )  # fmt: skip
    checks = audit(run.folder)
    assert run.audit_passed and checks["the teacher is untouched"]["passed"]
    held = [check["detail"] for name, check in checks.items() if name.startswith("the optimizer holds")]
    assert held and all("12 of them beside the model" in detail for detail in held), "three projectors of two layers"
    losses = [float(value) for value in column(run.folder / "results.csv", "train/dis_loss")]
    assert all(value > 0 for value in losses) and losses[-1] < losses[0], losses
    for name in ("best.pt", "last.pt"):
        path = run.folder / "weights" / name
        assert not [word for word in pickled_globals(path) if "frostline" in word or "distill" in word.lower()]
        assert saved_tensors(path).keys() == saved_tensors(tiny_checkpoint).keys()
        assert path.stat().st_size < 1.5 * tiny_checkpoint.stat().st_size
        student = YOLO(path)
        assert student.names == {0: "red", 1: "green", 2: "blue"}
        student.predict(torch.rand(1, 3, 64, 64), verbose=False)


@pytest.mark.parametrize("plan", [{"freeze_first": 3}, ROLES], ids=["fixed", "gradual"])
def test_a_killed_run_goes_on_with_its_teacher_and_projectors(
    plan: dict[str, Any], teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from ultralytics import YOLO

    common: dict[str, Any] = {"teacher": teacher, "project": tmp_path, "name": "cut", "device": "cpu", **FOUR}
    parsed = fl.FreezePlan.parse(plan)
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, parsed, observer=StopAfter(2), **common)
    last = torch.load(tmp_path / "cut" / "weights" / "last.pt", map_location="cpu", weights_only=False)
    assert last["ema"].teacher_model is None, "the checkpoint carries no teacher"
    run = fl.train(tiny_checkpoint, tiny_data, parsed, observer=(seen := StopAfter(None)), **common)
    assert seen.seen == [3, 4] and run.audit_passed and audit(run.folder)["the teacher is untouched"]["passed"]
    assert run.record["stages"][0]["resumed_at"] == [3]
    assert len(column(run.folder / "results.csv", "train/dis_loss")) == 4
    last_one = run.folder / "weights" / "last.pt"  # best.pt may be from before the kill
    assert YOLO(last_one).names == {0: "red", 1: "green", 2: "blue"}


def test_a_kill_after_the_last_epoch_knows_the_teacher_of_that_epoch(
    teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"teacher": teacher, "project": tmp_path, "name": "cut", "device": "cpu", **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, observer=StopAfter(2), **common)
    run = fl.train(tiny_checkpoint, tiny_data, **common)
    check = audit(run.folder)["the teacher is untouched"]
    assert run.audit_passed and check["passed"] and check["detail"].endswith("after the last epoch")


def test_an_exact_resume_with_a_teacher_ends_with_the_same_weights(
    teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    common: dict[str, Any] = {
        "teacher": teacher, "project": tmp_path, "device": "cpu", "exact_resume": True, **SETTINGS, "epochs": 3,
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, name="cut", observer=StopAfter(2), **common)
    side = torch.load(tmp_path / "cut" / "weights" / "exact-2.pt", weights_only=True)
    assert not [name for name in side["model"] if name.startswith("teacher")]
    cut = fl.train(tiny_checkpoint, tiny_data, name="cut", **common)
    whole = fl.train(tiny_checkpoint, tiny_data, name="whole", **common)
    a, b = (saved_tensors(run.folder / "weights" / "last.pt") for run in (cut, whole))
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_both_stages_of_a_plan_learn_from_the_teacher(
    teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = fl.FreezePlan.two_stage(freeze="0-2", epochs=(1, 1))
    run = fl.train(
        tiny_checkpoint, tiny_data, plan, teacher=teacher, project=tmp_path, name="two", device="cpu", **SETTINGS
    )
    stages = json.loads((run.folder / "audit.json").read_text())["stages"]
    assert [any(c["name"] == "the teacher is untouched" for c in stage["checks"]) for stage in stages] == [True, True]
    assert all(float(value) > 0 for value in column(run.folder / "results.csv", "train/dis_loss"))


def test_a_teacher_whose_statistics_move_fails_the_audit(
    teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would if the wrapper left it in training mode."""
    from ultralytics.nn.distill_model import DistillationModel

    freeze = DistillationModel._freeze_teacher

    def in_training_mode(self: Any) -> None:
        freeze(self)
        if self.teacher_model is not None:
            self.teacher_model.train()

    monkeypatch.setattr(DistillationModel, "_freeze_teacher", in_training_mode)
    with pytest.raises(AuditError):
        fl.train(tiny_checkpoint, tiny_data, teacher=teacher, project=tmp_path, name="t", device="cpu", **SETTINGS)
    failed = [name for name, check in audit(tmp_path / "t").items() if not check["passed"]]
    assert failed == ["the teacher is untouched"]


def test_a_teacher_replaced_between_kill_and_resume_is_refused(
    teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.pt"
    shutil.copyfile(teacher, mine)
    common: dict[str, Any] = {"teacher": mine, "project": tmp_path, "name": "cut", "device": "cpu", **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, observer=StopAfter(1), **common)
    shutil.copyfile(tiny_checkpoint, mine)
    with pytest.raises(fl.InputError, match=r"mine.pt: another model than the one .*cut began with"):
        fl.train(tiny_checkpoint, tiny_data, **common)
    with pytest.raises(fl.InputError, match=r"teacher: .* there, nothing now"):
        fl.train(tiny_checkpoint, tiny_data, **{**common, "teacher": None})


def test_a_run_from_before_there_were_teachers_is_the_same_run(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"project": tmp_path, "name": "old", "device": "cpu", **SETTINGS, "epochs": 1}
    run = fl.train(tiny_checkpoint, tiny_data, **common)
    record = {key: value for key, value in run.record.items() if not key.startswith("teacher")}
    (run.folder / "run.json").write_text(json.dumps(record))
    assert fl.train(tiny_checkpoint, tiny_data, **common).record == record


def test_bad_teachers_are_one_line_before_anything_is_written(
    teacher: Path, tiny_yaml: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from ultralytics.nn.tasks import ClassificationModel, DetectionModel

    config = yaml.safe_load(tiny_yaml.read_text())
    two_levels = config | {"head": [*config["head"][:-1], [[19, 22], 1, "Detect", ["nc"]]]}
    (tmp_path / "yolo11n-two.yaml").write_text(yaml.safe_dump(two_levels))
    two = DetectionModel(str(tmp_path / "yolo11n-two.yaml"), nc=3, verbose=False)
    save_checkpoint(two, tmp_path / "two.pt")
    save_checkpoint(ClassificationModel("yolo11n-cls.yaml", nc=3, verbose=False), tmp_path / "cls.pt")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "marker").mkdir()
    torch.save({"model": Payload(str(tmp_path / "marker" / "ran"))}, tmp_path / "payload.pt")
    for name, message in {
        "nowhere.pt": "teacher: .*nowhere.pt: no such checkpoint$",
        "text.pt": "teacher: .*text.pt: not a checkpoint",
        "payload.pt": "teacher: .*payload.pt: names .*could run code",
        "yolo11n-two.yaml": r"teacher: .*yolo11n-two.yaml: expected a checkpoint \(.pt\)",
        "cls.pt": r"teacher: .*cls.pt: not a detector that can teach one \(its head is Classify\)",
        "two.pt": "teacher: .*two.pt: its feature levels have strides 16, 32, and those of .*tiny.pt 8, 16, 32",
    }.items():
        with pytest.raises(fl.InputError, match=message) as error:
            fl.train(
                tiny_checkpoint, tiny_data, teacher=tmp_path / name, project=tmp_path / "runs", device="cpu", **SETTINGS
            )
        assert "\n" not in str(error.value)
    for settings, message in (
        ({"teacher": teacher, "dis": 0}, "dis: expected a number above 0, got 0"),
        ({"dis": 3.0}, "dis: it weighs the distillation loss, and there is no teacher"),
        ({"distill_model": teacher}, "distill_model: cannot be given here: say who teaches with --teacher"),
    ):
        with pytest.raises(fl.InputError, match=message):
            fl.train(tiny_checkpoint, tiny_data, project=tmp_path / "runs", device="cpu", **SETTINGS, **settings)
    assert not (tmp_path / "runs").exists() and not (tmp_path / "marker" / "ran").exists()


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_a_sixteen_bit_batch_reaches_the_teacher_in_the_unit_range(
    teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.nn.distill_model import DistillationModel

    for path in (tiny_data.parent / "images").rglob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 257)
    seen: list[tuple[float, float, int]] = []
    loss = DistillationModel.loss

    def looked_at(self: Any, batch: dict[str, Any], preds: Any = None) -> Any:
        if self.training and not self.teacher_model._forward_pre_hooks:
            self.teacher_model.register_forward_pre_hook(
                lambda _module, inputs: seen.append(
                    (float(inputs[0].min()), float(inputs[0].max()), len((inputs[0] * 65535).unique()))
                )
            )
        return loss(self, batch, preds)

    monkeypatch.setattr(DistillationModel, "loss", looked_at)
    run = fl.train(tiny_checkpoint, tiny_data, teacher=teacher, project=tmp_path, name="deep", device="cpu", **SETTINGS)
    assert run.audit_passed and run.record["pixels"]["kind"] == "uint16"
    assert seen and all(low >= 0 and 0.5 < high <= 1 for low, high, _ in seen)
    assert max(levels for _, _, levels in seen) > 256


def test_the_loss_is_the_one_that_the_page_on_distillation_tells(teacher: Path, tiny_checkpoint: Path) -> None:
    """By loops over images and positions, for a batch of two images of other sizes than square."""
    from ultralytics.utils import DEFAULT_CFG

    from frostline.training import open_checkpoint
    from frostline.training.teacher import distilling

    torch.manual_seed(0)
    student = open_checkpoint(tiny_checkpoint)
    student.args = DEFAULT_CFG
    wrapper: Any = distilling(student, str(teacher))
    wrapper.train()
    batch = {
        "img": torch.rand(2, 3, 64, 96), "cls": torch.zeros(2, 1), "batch_idx": torch.tensor([0.0, 1.0]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.3, 0.6, 0.2, 0.5]]),
    }  # fmt: skip
    taught: dict[str, Any] = {}
    head = wrapper.teacher_model.model[-1]
    head.register_forward_hook(lambda _m, inputs, output: taught.update(features=inputs[0], raw=output[1]))
    learned: dict[str, Any] = {}
    student.model[-1].register_forward_pre_hook(lambda _m, inputs: learned.update(features=list(inputs[0])))
    losses, items = wrapper.loss(batch)
    scores = taught["raw"]["scores"]
    expected, start = 0.0, 0
    for level, features in enumerate(taught["features"]):
        brought = wrapper.projector[level](learned["features"][level]).detach()
        count, channels, height, width = features.shape
        total = weights = 0.0
        for image in range(count):
            for place in range(height * width):
                weight = float(scores[image, :, start + place].sigmoid().max())
                row, column = divmod(place, width)
                total += weight * float(((brought - features)[image, :, row, column] ** 2).sum())
                weights += weight
        expected += total / (channels * weights)
        start += height * width
    assert float(items["dis_loss"]) == pytest.approx(expected * DEFAULT_CFG.dis, rel=1e-4)
    assert float(losses.detach()[-1]) == pytest.approx(2 * expected * DEFAULT_CFG.dis, rel=1e-4)


def test_a_plan_that_trains_the_head_alone_is_told_that_the_teacher_changes_nothing(
    teacher: Path, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from frostline.training import RunSpec, check_data, prepare, resolve_settings

    def warnings(plan: dict[str, Any]) -> list[str]:
        spec = RunSpec(
            arm="a", model=str(tiny_checkpoint), data=str(tiny_data), plan=fl.FreezePlan.parse(plan),
            settings=resolve_settings(FOUR), teacher=str(teacher),
        )  # fmt: skip
        found = prepare(spec, check_data(tiny_data), tmp_path / "run").warnings
        return [warning for warning in found if "the teacher changes nothing" in warning]

    assert len(warnings({"freeze": "backbone,neck"})) == 1
    assert "in stage 2 in" in warnings({"stages": [{"epochs": 2}, {"epochs": 2, "train_only": "head"}]})[0]
    assert warnings({"freeze": "backbone"}) == [] == warnings(ROLES)
