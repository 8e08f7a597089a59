"""Runs that end in the middle: what a kill costs, and what is the same afterwards."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from tiny import SETTINGS

import frostline as fl
from frostline.training.checkpoints import saved_tensors

pytestmark = pytest.mark.integration
FOUR = {**SETTINGS, "epochs": 4}


class StopAfter:
    """An observer that interrupts a run once an epoch is saved."""

    def __init__(self, epoch: int | None, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.at, self.error = epoch, error
        self.seen: list[int] = []
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        self.seen.append(done)
        if done == self.at:
            raise self.error


def column(path: Path, name: str) -> list[str]:
    with path.open(newline="") as stream:
        return [{k.strip(): v.strip() for k, v in row.items()}[name] for row in csv.DictReader(stream)]


def test_an_interrupted_run_goes_on_after_its_last_epoch(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = fl.FreezePlan.first(3)
    first = StopAfter(2)
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", observer=first, **FOUR)
    folder = tmp_path / "freeze_1_to_3"
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    # as if the two epochs had taken 1000 s
    text = (folder / "results.csv").read_text()
    (folder / "results.csv").write_text(text.replace(f"\n2,{column(folder / 'results.csv', 'time')[1]},", "\n2,1000,"))
    # a kill between the row and the checkpoint leaves a row too many, and may tear it
    with (folder / "results.csv").open("a") as stream:
        stream.write("3,9.9,1,1")
    second = StopAfter(None)
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", observer=second, **FOUR)
    assert first.seen == [1, 2] and second.seen == [3, 4]
    assert column(folder / "results.csv", "epoch") == ["1", "2", "3", "4"]
    assert column(folder / "gradients.csv", "epoch") == ["1", "2", "3", "4"]
    assert run.audit_passed and len(run.record["epoch_seconds"]) == 4
    times = [float(time) for time in column(folder / "results.csv", "time")]
    assert times == sorted(times) and times[2] > 1000, "the clock runs on after a resume"
    assert run.record["stages"][0]["resumed_at"] == [3]
    # what was fresh at the start is not frozen because a checkpoint of ours holds it whole
    assert run.record["frozen_layers"] == [0, 1, 2] and len(run.record["transfer"]["fresh"]) == 6
    before, after = saved_tensors(tiny_checkpoint), saved_tensors(run.weights)
    assert all(torch.equal(before[n].half(), after[n].half()) for n in before if n.split(".")[0] in {"0", "1", "2"})


def test_fresh_tensors_stay_trainable_after_a_resume(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    plan = fl.FreezePlan.select("neck,head")
    with pytest.raises(KeyboardInterrupt):
        fl.train(
            tiny_checkpoint,
            tiny_data,
            plan,
            project=tmp_path,
            name="r",
            device="cpu",
            observer=StopAfter(1),
            **SETTINGS,
        )
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="r", device="cpu", **SETTINGS)
    assert len(run.record["kept_fresh"]) == 6 and run.audit_passed
    assert run.record["parameters"]["trainable"] > sum(
        tensor.numel() for name, tensor in saved_tensors(run.weights).items() if name in run.record["kept_fresh"]
    )


@pytest.mark.parametrize("moment", ["before stripping", "after stripping"])
def test_a_kill_after_the_last_epoch_only_costs_the_evaluation(
    moment: str, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = fl.FreezePlan.first(3)
    if moment == "before stripping":
        with pytest.raises(KeyboardInterrupt):
            fl.train(
                tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", observer=StopAfter(2), **SETTINGS
            )
    else:
        fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", **SETTINGS)
        folder = tmp_path / "freeze_1_to_3"
        (folder / "stage.json").unlink()
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**record, "status": "running"}))
    observer = StopAfter(None)
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", observer=observer, **SETTINGS)
    assert observer.seen == [] and run.status == "finished" and run.audit_passed
    assert column(run.folder / "results.csv", "epoch") == ["1", "2"]
    audit = json.loads((run.folder / "audit.json").read_text())
    assert "audited by the checkpoint" in audit["notes"][0]


def test_a_torn_checkpoint_falls_back_to_the_one_before(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    plan = fl.FreezePlan.first(3)
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", observer=StopAfter(3), **FOUR)
    last = tmp_path / "freeze_1_to_3" / "weights" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    observer = StopAfter(None)
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", observer=observer, **FOUR)
    assert observer.seen == [3, 4] and run.audit_passed
    assert column(run.folder / "results.csv", "epoch") == ["1", "2", "3", "4"]


def test_a_frozen_weight_changed_between_kill_and_resume_fails_the_audit(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = fl.FreezePlan.first(3)
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", observer=StopAfter(1), **SETTINGS)
    last = tmp_path / "freeze_1_to_3" / "weights" / "last.pt"
    checkpoint = torch.load(last, weights_only=False)
    checkpoint["ema"].model[0].conv.weight.data.add_(1)
    torch.save(checkpoint, last)
    from frostline.training import AuditError

    with pytest.raises(AuditError, match="audit failed"):
        fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", **SETTINGS)
    record = json.loads((tmp_path / "freeze_1_to_3" / "run.json").read_text())
    assert record["status"] == "failed" and record["audit"] == "FAIL"


def test_stage_two_starts_from_the_best_of_stage_one_and_curves_run_on(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = fl.FreezePlan.two_stage(freeze="0-2", epochs=(2, 3), lr0=(0.005, 0.01))
    observer = StopAfter(4)
    with pytest.raises(KeyboardInterrupt):  # in the middle of stage 2
        fl.train(
            tiny_checkpoint, tiny_data, plan, project=tmp_path, name="two", device="cpu", observer=observer, **SETTINGS
        )
    folder = tmp_path / "two"
    stage1 = (folder / "stage1" / "weights" / "best.pt").read_bytes()
    again = StopAfter(None)
    run = fl.train(
        tiny_checkpoint, tiny_data, plan, project=tmp_path, name="two", device="cpu", observer=again, **SETTINGS
    )
    assert observer.seen == [1, 2, 3, 4] and again.seen == [5]
    assert (folder / "stage1" / "weights" / "best.pt").read_bytes() == stage1  # a finished stage is not run again
    assert column(folder / "results.csv", "epoch") == ["1", "2", "3", "4", "5"]
    assert column(folder / "results.csv", "stage") == ["1", "1", "2", "2", "2"]
    times = [float(time) for time in column(folder / "results.csv", "time")]
    assert times == sorted(times) and len(set(times)) == 5, "the clock runs on over a resume and over stages"
    assert column(folder / "gradients.csv", "layer_0")[:2] == ["", ""]
    assert all(float(x) > 0 for x in column(folder / "gradients.csv", "layer_0")[2:])
    import yaml

    args = yaml.safe_load((folder / "stage2" / "args.yaml").read_text())
    assert args["lr0"] == 0.01 and args["cos_lr"] is True and args["epochs"] == 3 and not args["freeze"]
    assert run.record["best"]["stage"] in {1, 2} and run.weights.is_file()
    fitness = [stage["metrics"]["ultralytics/mAP50-95"] for stage in run.record["stages"]]
    assert run.map50_95 == max(fitness)
    audit = json.loads((folder / "audit.json").read_text())
    assert audit["verdict"] == "PASS" and [stage["stage"] for stage in audit["stages"]] == [1, 2]
    out = capsys.readouterr().out
    assert "[stage1_before_train]" in out and "[stage2_before_train]" in out and "frozen_params=16 " in out


def test_stage_two_holds_the_frozen_layers_of_stage_one_until_it_trains_them(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = fl.FreezePlan.two_stage(freeze="0-2", epochs=(1, 1))
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="two", device="cpu", **SETTINGS)
    start = saved_tensors(tiny_checkpoint)
    one = saved_tensors(run.folder / "stage1" / "weights" / "best.pt")
    two = saved_tensors(run.folder / "stage2" / "weights" / "best.pt")
    name = "0.conv.weight"
    assert torch.equal(start[name].half(), one[name].half()) and not torch.equal(one[name], two[name])
    transfer = json.loads((run.folder / "stage2" / "progress.json").read_text())["transfer"]
    assert transfer["source"] == str((run.folder / "stage1" / "weights" / "best.pt").resolve())
    assert transfer["loaded"] == transfer["total"], "classes learned in stage 1 are not fresh in stage 2"
