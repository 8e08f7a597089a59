"""Standard output of `--json` is JSON and nothing else, whatever the libraries underneath have to say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from frostline.studies import ablation


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command as on a machine where Ultralytics was never used: it then says so at its first import."""
    return subprocess.run(
        [sys.executable, "-m", "frostline", *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, "YOLO_CONFIG_DIR": str(folder / "settings")}, cwd=folder,
    )  # fmt: skip


def test_layers_of_a_model_that_ultralytics_warns_about(tmp_path: Path) -> None:
    from ultralytics.nn.tasks import yaml_model_load

    config = yaml_model_load("yolo11n.yaml")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({k: config[k] for k in ("nc", "backbone", "head", "scales")}))
    done = run(tmp_path, "layers", "mine.yaml", "--json", "--imgsz", 100)
    assert "no model scale passed" in done.stderr, "the warning that this test needs"
    assert "Creating new Ultralytics Settings" in done.stderr
    assert "imgsz=100 is no multiple of the model's stride 32: 128 is used" in done.stderr
    assert json.loads(done.stdout)["imgsz"] == 128


def test_status_of_a_study(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    study = ablation("m.pt", "d.yaml", (3,), {})
    (tmp_path / "study" / "study.yaml").write_text(study.to_yaml())
    done = run(tmp_path, "study", "status", "study", "--json")
    assert done.stderr == "", "Ultralytics is not imported, which would say that it makes its settings"
    assert [row["status"] for row in json.loads(done.stdout)] == ["waiting", "waiting"]
