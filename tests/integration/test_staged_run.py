"""A run that reads its images from a copy on the node's disk: recorded with the original, and the same run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from tiny import SETTINGS

import frostline as fl
from frostline.studies import StudyFile
from frostline.studies.executors.staging import stage

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def study_in(folder: Path, checkpoint: Path, data: Path) -> fl.Study:
    train = {**SETTINGS, "epochs": 2, "reference": True}
    stages: list[Any] = [{"epochs": 1, "freeze": "0-2"}, {"epochs": 1}]
    file = {"model": str(checkpoint), "data": str(data), "train": train, "arms": {"two": {"stages": stages}}}
    study = fl.Study(StudyFile.parse(file), folder)
    study.begin("cpu")
    return study


def test_a_staged_run_is_the_run_of_the_original(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    disk, said = tmp_path / "node", []
    disk.mkdir()

    def place_of(data: str) -> str:
        return stage(data, str(disk), said.append)

    plain = study_in(tmp_path / "plain", tiny_checkpoint, tiny_data).run_one("two", 0, device="cpu")
    read: list[str] = []
    hidden = tiny_data.with_name("hidden")

    def hide(data: str) -> str:
        place = place_of(data)
        for part in ("images", "labels"):  # what reads them still fails
            shutil.move(tiny_data.parent / part, hidden / part)
        read.append(place)
        return place

    staged = study_in(tmp_path / "staged", tiny_checkpoint, tiny_data)
    hidden.mkdir()
    run = staged.run_one("two", 0, device="cpu", place_of=hide)
    for part in ("images", "labels"):
        shutil.move(hidden / part, tiny_data.parent / part)
    assert len(read) == 1 and Path(read[0]).is_relative_to(disk)
    original = str(tiny_data.resolve())
    assert run.audit_passed and run.record["data"] == original and "data_here" not in run.record
    for folder in (run.folder, run.folder / "stage1", run.folder / "stage2"):
        assert yaml.safe_load((folder / "args.yaml").read_text())["data"] == original
    assert torch.load(run.weights, weights_only=False)["train_args"]["data"] == original
    for name in ("predictions.parquet", "train_predictions.parquet"):
        assert pl.read_parquet(run.folder / name).equals(pl.read_parquet(plain.folder / name))
    assert run.record["metrics"] == plain.record["metrics"]
    # a run that goes on somewhere else is the same run
    assert staged.run_one("two", 0, device="cpu").record["started"] == run.record["started"]
