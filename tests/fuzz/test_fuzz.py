"""Only InputError comes out of a reader: found cases are fed to it always, a long search is in `make torture`."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from readers import READERS, Fuzzed, placed

from frostline.errors import InputError

FOUND = Path(__file__).parent / "found"
SECONDS = float(os.environ.get("FROSTLINE_FUZZ_SECONDS", "600"))
"""A reader's share of `make torture`."""


def feed(fuzzed: Fuzzed, content: bytes, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fuzzed.read(placed(folder, fuzzed, content))
        except InputError as error:
            assert str(error).strip()


def cases() -> list[tuple[Fuzzed, Path]]:
    return [(one, path) for one in READERS for path in sorted((FOUND / one.name).glob("*")) if path.is_file()]


@pytest.mark.parametrize(("fuzzed", "case"), cases(), ids=lambda value: getattr(value, "name", str(value)))
def test_what_was_found_once_stays_mended(fuzzed: Fuzzed, case: Path, tmp_path: Path) -> None:
    feed(fuzzed, case.read_bytes(), tmp_path)


def search(fuzzed: Fuzzed, folder: Path, examples: int, until: float) -> None:
    last: list[bytes] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
    )
    @given(fuzzed.content)
    def one(content: bytes) -> None:
        if time.monotonic() < until:
            last[:] = [content]
            feed(fuzzed, content, folder)

    try:
        one()
    except Exception as error:
        name = hashlib.sha256(last[0]).hexdigest()[:12]
        kept = Path(os.environ.get("FROSTLINE_FUZZ_KEEP", str(folder))) / fuzzed.name / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(last[0])
        raise AssertionError(f"{fuzzed.name}: {type(error).__name__}: {error}; the input is kept as {kept}") from error


@pytest.mark.parametrize("fuzzed", READERS, ids=lambda one: one.name)
def test_a_quick_search_finds_nothing(fuzzed: Fuzzed, tmp_path: Path) -> None:
    search(fuzzed, tmp_path, 40, time.monotonic() + 10)


@pytest.mark.torture
@pytest.mark.parametrize("fuzzed", READERS, ids=lambda one: one.name)
def test_a_long_search_finds_nothing(fuzzed: Fuzzed, tmp_path: Path) -> None:
    """Rounds of fresh examples: one round of hypothesis would not repeat what it has seen, and remembers all of it."""
    until, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        search(fuzzed, tmp_path, 2000, until)
        rounds += 1
    assert rounds
