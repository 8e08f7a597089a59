"""Distillation on a real detector: the teacher teaches, stays as it was, and leaves nothing of itself behind."""

from __future__ import annotations

import json
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_resume import StopAfter, column
from tiny import SETTINGS, save_checkpoint

import frostline as fl
from frostline.training.checkpoints import saved_tensors

pytestmark = pytest.mark.integration
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
