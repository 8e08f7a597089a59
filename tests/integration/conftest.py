"""A detector and a dataset so small that a real training takes seconds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from tiny import save_checkpoint, write_dataset


@pytest.fixture(scope="session")
def tiny_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YOLO11's layers, a sixteenth as wide."""
    from ultralytics.nn.tasks import yaml_model_load

    config = yaml_model_load("yolo11n.yaml")
    config = {key: config[key] for key in ("nc", "backbone", "head")} | {"scales": {"n": [0.33, 0.0625, 128]}}
    path = tmp_path_factory.mktemp("model") / "yolo11n-tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_yaml: Path) -> Path:
    """The tiny detector with random weights for ten classes, as if they were pretrained."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(1)
    model = DetectionModel(str(tiny_yaml), nc=10, verbose=False)
    model.args = {}
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    return save_checkpoint(model, tiny_yaml.with_name("tiny.pt"))


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("squares"))


@pytest.fixture
def tiny_data(tiny_source: Path, tmp_path: Path) -> Path:
    """A dataset of one's own for each test: caches and damage stay in it."""
    folder = tmp_path / "squares"
    shutil.copytree(tiny_source.parent, folder)
    return folder / "data.yaml"


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Leave torch's thread count as it was: runs set it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def threads_of_ultralytics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute with as many threads as plain Ultralytics: another number adds up in another order."""
    for module in ("trainer", "evaluation"):
        monkeypatch.setattr(f"frostline.training.{module}.use_all_cores", lambda: None)
