"""Every study in examples/ is whole: it parses, its plans fit a real model, and its arms are of equal length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from frostline.freezing import BoundStage
from frostline.studies import StudyFile

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def model() -> Any:
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel("yolo11n.yaml", nc=3, verbose=False)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_is_a_whole_study(path: Path, model: Any) -> None:
    study = StudyFile.from_yaml(path)
    assert {arm.plan.total_epochs for arm in study.arms.values()} == {study.train["epochs"]}
    assert study.hypotheses and len(study.seeds) >= 3
    assert StudyFile.parse(yaml.safe_load(study.to_yaml())) == study
    for arm in study.arms.values():
        for stage in arm.plan.stages:
            bound = BoundStage(model, stage, (), arm.plan.freeze_fresh)
            assert bound.freeze(0).total_layers == 24


def test_the_examples_ask_what_they_say_they_ask() -> None:
    depth, two, transfer = (
        StudyFile.from_yaml(EXAMPLES[0].parent / f"{name}.yaml") for name in ("freeze_depth", "two_stage", "transfer")
    )
    assert [arm.plan.freeze_depth for arm in depth.arms.values()] == [0, 3, 4, 5, 6, None]
    assert {hypothesis.metric for hypothesis in depth.hypotheses} == {"mAP50", "AP_small"}
    stages = [[stage.selector for stage in two.arms[name].plan.stages] for name in list(two.arms)[4:]]
    assert stages == [["freeze 0-2", "freeze none"], ["freeze 0-5", "freeze none"], ["train only 0-5", "freeze none"]]
    taught = {name: arm.teacher for name, arm in transfer.arms.items() if arm.teacher}
    assert taught == {"distilled": "yolo11s.pt", "distilled_freeze_1_to_3": "yolo11s.pt"}
    assert transfer.arms["distilled_freeze_1_to_3"].plan.freeze_depth == 3
