"""The tiny detector and dataset of the integration tests, in folders of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import write_checkpoint, write_dataset, write_model


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny detector with random weights for ten classes, as if they were pretrained."""
    return write_checkpoint(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    """A dataset of one's own for each test: caches and damage stay in it."""
    return write_dataset(tmp_path / "squares")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Leave torch's thread count as it was: runs set it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
