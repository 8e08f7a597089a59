"""What Ultralytics does by itself where memory runs out or the loss becomes NaN: counted, told, and shown."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from inspecting import call, epochs_of
from tiny import SETTINGS

import frostline as fl
from frostline.analysis import find_runs, read_results
from frostline.errors import StoppedError
from frostline.training.trainer import StageTrainer

pytestmark = [pytest.mark.integration, pytest.mark.slow]
FOUR = {**SETTINGS, "epochs": 4}


class Lines:
    """An observer that keeps what it is told."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[str] = []
        self.stop_at = stop_at

    def say(self, text: str) -> None:
        self.lines.append(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        if done == self.stop_at:
            raise KeyboardInterrupt


def out_of_memory(monkeypatch: pytest.MonkeyPatch, when: Callable[[StageTrainer], bool]) -> None:
    """Let a step run out of memory, as torch says it on a GPU."""
    preprocess = StageTrainer.preprocess_batch

    def step(self: StageTrainer, batch: dict[str, Any]) -> dict[str, Any]:
        if when(self):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation")
        return preprocess(self, batch)

    monkeypatch.setattr(StageTrainer, "preprocess_batch", step)


@pytest.mark.parametrize("together", [False, True])
def test_a_batch_that_did_not_fit_is_recorded_and_the_arms_are_told_to_be_unequal(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    out_of_memory(monkeypatch, lambda trainer: trainer.job.tag == "baseline" and trainer.batch_size > 2)
    file, project = tmp_path / "study.yaml", tmp_path / "study"
    arms: dict[str, Any] = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}
    value = {"model": str(tiny_checkpoint), "data": str(tiny_data), "train": SETTINGS, "arms": arms}
    file.write_text(yaml.safe_dump(value))
    observer = Lines()
    assert fl.Study.from_yaml(file, project).run(device="cpu", observer=observer, together=together).complete
    assert any("warning: out of memory: training starts again with batch 2" in line for line in observer.lines)
    batches = {
        arm: json.loads((project / arm / "seed0" / "run.json").read_text())["stages"][0]["batch"] for arm in arms
    }
    assert batches == {"baseline": 2, "freeze_1_to_3": 4}
    compared = call("compare", project, "--out", tmp_path / "comparison.png", "--format", "csv")
    assert compared.exit_code == 0 and compared.stderr.count("warning: ") == 1
    assert "warning: baseline/seed0 ran out of memory and trained with batch 2, not 4" in compared.stderr
    found = {one.code: one for one in fl.Report.from_runs([project], draws=100).diagnoses}
    assert found["unequal-settings"].detail == "batch: 2 (baseline), 4 (freeze_1_to_3)"
    assert "batch 4 did not fit and Ultralytics trained with 2" in found["out-of-memory"].detail


def test_a_cut_batch_stays_cut_over_a_resume(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory(monkeypatch, lambda trainer: trainer.batch_size > 2)
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=Lines(2), **FOUR)
    monkeypatch.undo()  # there is room again: half of a run with another batch would be neither
    observer = Lines()
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=observer, **FOUR)
    assert run.record["stages"][0]["batch"] == 2 and run.audit_passed
    assert yaml.safe_load((run.folder / "args.yaml").read_text())["batch"] == 2


def test_memory_that_runs_out_later_fails_the_run_in_one_line_and_it_goes_on(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory(monkeypatch, lambda trainer: trainer.epoch == 2)
    with pytest.raises(StoppedError, match=r"^out of memory: CUDA out of memory\. Tried .* smaller batch") as caught:
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", **FOUR)
    assert "\n" not in str(caught.value)
    (run,) = find_runs([tmp_path])
    assert run.status == "failed" and run.text("reason") == str(caught.value)
    found = {one.code: one for one in fl.Report.from_runs([tmp_path], draws=100, include_unfinished=True).diagnoses}
    assert "CUDA out of memory" in found["out-of-memory"].detail
    monkeypatch.undo()
    again = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", **FOUR)
    assert again.record["stages"][0]["resumed_at"] == [3] and again.record["stages"][0]["batch"] == 4


def test_a_recovery_from_nan_is_counted_and_told(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate, seen = StageTrainer.validate, []

    def nan_twice(self: StageTrainer) -> Any:
        if self.epoch == 2 and seen.count(2) < 2:
            self.loss = self.loss * float("nan")
        seen.append(self.epoch)
        return validate(self)

    monkeypatch.setattr(StageTrainer, "validate", nan_twice)
    observer = Lines()
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=observer, **FOUR)
    assert seen.count(2) == 3
    assert run.record["nan_recoveries"] == 2 and run.record["stages"][0]["nan_recoveries"] == 2
    assert observer.lines.count("warning: epoch 3: NaN; trained again from the checkpoint of epoch 2") == 2
    assert run.audit_passed and epochs_of(run.folder / "results.csv") == [1, 2, 3, 4]


def test_a_run_that_keeps_diverging_ends_as_failed_with_its_curves(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """A loss beyond what a number holds, for real."""
    observer = Lines()
    with pytest.raises(StoppedError, match=r"^NaN persisted: .* lower lr0") as caught:
        fl.train(
            tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=observer,
            **{**SETTINGS, "epochs": 12, "box": 1e38},
        )  # fmt: skip
    folder = tmp_path / "baseline"
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "failed" and record["reason"] == str(caught.value)
    assert record["nan_recoveries"] == 3
    with (folder / "results.csv").open(newline="") as stream:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(stream)]
    assert rows and rows[0]["epoch"] == "1"
    assert read_results(folder / "results.csv").height == len(rows)
    assert fl.compare([tmp_path])["status"].to_list() == ["failed"]
    found = {one.code for one in fl.Report.from_runs([tmp_path], draws=100, include_unfinished=True).diagnoses}
    assert "diverged" in found
