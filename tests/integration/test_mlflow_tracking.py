"""Runs kept by MLflow in a local SQLite store, and read back by its client."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_resume import StopAfter
from tiny import SETTINGS

import frostline as fl

pytestmark = [
    pytest.mark.integration,
    pytest.mark.extra,
    pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed (extra track)"),
]
ARMS: dict[str, Any] = {
    "baseline": {},
    "two": {"stages": [{"epochs": 1, "freeze": "0-2"}, {"epochs": 2}]},
}


@pytest.fixture(autouse=True)
def no_store_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def study(folder: Path, checkpoint: Path, data: Path, **more: Any) -> fl.Study:
    path = folder / "depth.yaml"
    train = {**SETTINGS, "epochs": 3}
    value = {"model": str(checkpoint), "data": str(data), "train": train, "arms": ARMS, "track": "mlflow", **more}
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return fl.Study.from_yaml(path, folder / "runs" / "study")


def client(folder: Path) -> Any:
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")


def runs_of(store: Any) -> dict[str, Any]:
    experiment = store.get_experiment_by_name("depth")
    return {run.info.run_name: run for run in store.search_runs([experiment.experiment_id])}


def test_a_study_is_an_experiment_and_a_run_has_its_plan_audit_and_metrics(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path
) -> None:
    one = study(tmp_path, tiny_checkpoint, tiny_data)
    assert one.run(device="cpu").complete
    store = client(tmp_path)
    runs = runs_of(store)
    assert set(runs) == {"baseline/seed0", "two/seed0", "two/seed0/stage1", "two/seed0/stage2"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    baseline, two = runs["baseline/seed0"], runs["two/seed0"]
    assert baseline.data.params["frostline.arm"] == "baseline" and baseline.data.params["imgsz"] == "64"
    assert "0-2" in two.data.params["plan.stages"]
    map50 = one.states()[0].map50
    assert map50 is not None and baseline.data.metrics["ultralytics/mAP50"] == pytest.approx(map50)
    history = store.get_metric_history(baseline.info.run_id, "metrics/mAP50B")
    assert [point.step for point in history] == [0, 1, 2]
    assert len(store.get_metric_history(runs["two/seed0/stage2"].info.run_id, "metrics/mAP50B")) == 2
    assert runs["two/seed0/stage1"].data.tags["mlflow.parentRunId"] == two.info.run_id
    kept = {file.path for file in store.list_artifacts(two.info.run_id)}
    assert {"run.json", "audit.json", "results.csv"} <= kept
    assert not any(name.endswith(".pt") for name in kept)


def test_a_run_that_goes_on_is_the_same_run_there(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    arms = {"baseline": {}}
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path, tiny_checkpoint, tiny_data, arms=arms).run(device="cpu", observer=StopAfter(1))
    store = client(tmp_path)
    assert runs_of(store)["baseline/seed0"].info.status == "KILLED"
    assert study(tmp_path, tiny_checkpoint, tiny_data, arms=arms).run(device="cpu").complete
    (run,) = runs_of(store).values()
    assert run.info.status == "FINISHED"
    assert [point.step for point in store.get_metric_history(run.info.run_id, "metrics/mAP50B")] == [0, 1, 2]


def test_a_store_that_cannot_be_reached_costs_a_warning_and_no_run(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the port of "discard": nobody listens there
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert study(tmp_path, tiny_checkpoint, tiny_data, arms={"baseline": {}}).run(device="cpu").complete
    assert "not tracked" in caplog.text


def test_lockstep_keeps_each_arm_apart(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}
    assert study(tmp_path, tiny_checkpoint, tiny_data, arms=arms).run(device="cpu", together=True).complete
    store = client(tmp_path)
    runs = runs_of(store)
    assert set(runs) == {"baseline/seed0", "freeze_1_to_3/seed0"}
    for run in runs.values():
        assert [point.step for point in store.get_metric_history(run.info.run_id, "metrics/mAP50B")] == [0, 1, 2]
