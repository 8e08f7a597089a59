"""The tiny detector and dataset of the integration tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from tiny import save_checkpoint, write_dataset


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YOLO11's layers, a sixteenth as wide, with random weights for ten classes."""
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    config = yaml_model_load("yolo11n.yaml")
    config = {key: config[key] for key in ("nc", "backbone", "head")} | {"scales": {"n": [0.33, 0.0625, 128]}}
    path = tmp_path_factory.mktemp("model") / "yolo11n-tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    torch.manual_seed(1)
    model = DetectionModel(str(path), nc=10, verbose=False)
    model.args = {}
    return save_checkpoint(model, path.with_name("tiny.pt"))


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("squares"))


@pytest.fixture
def tiny_data(tiny_source: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "squares"
    shutil.copytree(tiny_source.parent, folder)
    return folder / "data.yaml"
