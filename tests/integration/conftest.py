"""A detector and a dataset so small that a real training takes seconds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import write_checkpoint, write_dataset, write_model


@pytest.fixture(scope="session")
def tiny_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YOLO11's layers, a sixteenth as wide."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_yaml: Path) -> Path:
    """The tiny detector with random weights for ten classes, as if they were pretrained."""
    return write_checkpoint(tiny_yaml)


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
