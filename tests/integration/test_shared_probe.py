"""The probe on real photographs with a real COCO backbone; skipped where they are not at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from frostline.studies import StudyFile

pytestmark = [pytest.mark.integration, pytest.mark.shared]


def test_a_probe_of_kitti_says_what_its_numbers_say(shared_dir: Path, tmp_path: Path) -> None:
    weights = shared_dir / "weights" / "yolov5n-coco.pt"
    images = shared_dir / "data" / "kitti101" / "image_2"
    for words in (
        ["data", "kitti", shared_dir / "data" / "kitti101", "kitti"],
        ["probe", weights, "kitti/data.yaml", "--source", images, "--imgsz", "320", "--device", "cpu", "--write-study",
         "study.yaml"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "frostline", *map(str, words)], capture_output=True, text=True, check=False,
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "probe.json").read_text())
    assert len(record["layers"]) == 25 and record["pairs"] == 64 and len(record["adapted"]) == 6
    alike = [layer["similarity"] for layer in record["layers"] if layer["similarity"] is not None]
    assert min(alike) > 0.9999, "the very same photographs"
    drifted = {layer["index"]: layer["drift"]["mean_shift"] for layer in record["layers"] if layer["drift"]}
    assert drifted[1] < drifted[9], "COCO's statistics fit the first layers of photographs better than the deepest"
    costs = record["depths"]
    assert [cost["depth"] for cost in costs] == [0, 3, 4, 5, 6, 10, 24]
    assert costs[0]["activation_bytes"] > 1.3 * costs[1]["activation_bytes"]
    assert costs[-1]["step_seconds"] < costs[0]["step_seconds"]
    study = StudyFile.from_yaml(tmp_path / "study.yaml")
    assert list(study.arms) == list(record["recommendation"]["arms"])
    assert record["recommendation"]["confidence"] in {"high", "medium", "low"}
    for sentence in record["recommendation"]["sentences"]:
        assert sentence in done.stdout
