"""Fixtures that any test may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported, here or in a process that a test starts: threads of a tiny network mostly wait for one
# another, and several tests run at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left with it at the end."""

    def rank(item: pytest.Item) -> int:
        names = [mark.name for mark in item.iter_markers()]
        return next((place for place, name in enumerate(("shared", "slow", "integration")) if name in names), 3)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real data beside the repository: tests that need it are marked `shared` and skip without it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("there is no folder 'shared' with real data beside the repository")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium, driven by Playwright: tests that need it are marked `browser` and skip where one is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra dev)")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no chromium, chromium-browser or google-chrome on the path")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, timeout=120_000)
        yield started
        started.close()
