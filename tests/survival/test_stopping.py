"""SIGTERM and Ctrl-C, here and together: what a study in processes does is in `integration/test_processes.py`."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import yaml
from killing import Driver, until
from tiny import SETTINGS

from frostline.training.resuming import read_saved

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ARMS = ("baseline", "freeze_1_to_3")


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("mode", ["here", "together"])
def test_a_study_that_is_told_to_stop_keeps_its_last_epoch(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, mode: str, how: str
) -> None:
    file, project = tmp_path / "study.yaml", tmp_path / "study"
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}
    train = {**SETTINGS, "epochs": 500}
    value = {"model": str(tiny_checkpoint), "data": str(tiny_data), "train": train, "arms": arms}
    file.write_text(yaml.safe_dump(value))
    begun = [project / arm / "seed0" for arm in (ARMS if mode == "together" else ARMS[:1])]
    driver = Driver(file, project, mode)
    assert until(driver, lambda: all((folder / "weights" / "previous.pt").is_file() for folder in begun))
    before = [read_saved(folder / "weights" / "last.pt") for folder in begun]
    asked = time.monotonic()
    driver.process.send_signal(getattr(signal, how))
    assert driver.process.wait(60) == 130, driver.said()
    assert time.monotonic() - asked < 10
    assert "interrupted; what was finished is kept" in driver.said()
    for folder, earlier in zip(begun, before, strict=True):
        saved = read_saved(folder / "weights" / "last.pt")
        assert saved is not None and earlier is not None and saved.epoch >= earlier.epoch > 0
        assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
        known = json.loads((folder / "progress.json").read_text())["epoch_seconds"]
        assert len(known) in {saved.epoch, saved.epoch + 1}
        assert not list(folder.rglob(".*part-*"))
    assert not list((project / "claims").glob("*/*"))
