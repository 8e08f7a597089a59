"""Claims: one holder at a time, however many want it, and a way back from one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from frostline.studies import claims as module
from frostline.studies.claims import Claims, Holder, TakenError
from frostline.training.record import AbandonedError

LABEL = "baseline/seed0"


def nothing() -> None:
    """Do nothing."""


def age(claims: Claims, seconds: float) -> None:
    """Make every claim look as if nobody had touched it for so long."""
    for file in claims.folder.glob("*/*"):
        then = file.stat().st_mtime - seconds
        os.utime(file, (then, then))


def elsewhere(monkeypatch: pytest.MonkeyPatch, claims: Claims) -> None:
    """Let a claim be taken as on another machine, whose processes are not known here."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "_place", lambda: "0123456789abcdef")
        claims.take(LABEL)


def test_a_run_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    assert claims.holder(LABEL) is None
    claim = claims.take(LABEL)
    holder = claims.holder(LABEL)
    assert holder == Holder.here() and str(os.getpid()) in str(holder)
    with pytest.raises(TakenError, match=f"carried out by process {os.getpid()} on"):
        claims.take(LABEL)
    other = claims.take("baseline/seed1")
    claim.release()
    assert claims.holder(LABEL) is None and claims.holder("baseline/seed1") is not None
    claims.take(LABEL).release()
    other.release()
    assert list(claims.folder.iterdir()) == []


def test_a_claim_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from frostline.studies.claims import Claims;"
        f"Claims(Path(sys.argv[1])).take('{LABEL}'); print('held', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        claims = Claims(tmp_path)
        with pytest.raises(TakenError, match=str(process.pid)):
            claims.take(LABEL)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert claims.holder(LABEL) is None
        claims.take(LABEL)


def test_what_a_kill_left_between_two_steps_is_removed_once_it_is_old(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    for name, old in ((".new-killed", 200), (".clock-killed", 200), (".new-at-work", 0)):
        place = claims.folder / name
        place.mkdir(parents=True) if "new" in name else place.touch()
        os.utime(place, (time.time() - old,) * 2)
    claims.take(LABEL)
    assert [path.name for path in claims.folder.glob(".*")] == [".new-at-work"]


def test_stale_claims_are_removed_and_live_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Claims(tmp_path)
    elsewhere(monkeypatch, claims)
    age(claims, 130)
    killed = Holder("here", 2**22 + 1, 1.0, module._place())
    (claims.folder / "b@seed0").mkdir()
    (claims.folder / "b@seed0" / killed.new_name()).touch()
    kept = claims.take("c/seed0")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_place", lambda: "0123456789abcdef")
        claims.take("d/seed0")
    claims.tidy()
    assert {path.name for path in claims.folder.iterdir()} == {"c@seed0", "d@seed0"} and kept.touch()
    claims.take(LABEL)


def test_a_claim_of_another_machine_is_taken_over_after_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(tmp_path, stale=100.0)
    elsewhere(monkeypatch, claims)
    age(claims, 90)
    with pytest.raises(TakenError):
        claims.take(LABEL)
    age(claims, 20)
    assert claims.holder(LABEL) is None
    claims.take(LABEL)
    assert claims.holder(LABEL) == Holder.here()


def test_a_clock_that_differs_from_the_file_servers_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(tmp_path)
    elsewhere(monkeypatch, claims)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(TakenError):
        claims.take(LABEL)


def test_of_many_that_want_a_stale_claim_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        claims = Claims(tmp_path, stale=100.0)
        elsewhere(monkeypatch, claims)
        age(claims, 200)
        assert rush(claims, 8) == 1
        for file in claims.folder.glob("*/*"):
            file.unlink()


def test_of_many_that_want_a_new_run_one_gets_it(tmp_path: Path) -> None:
    for number in range(20):
        assert rush(Claims(tmp_path / str(number)), 8) == 1


def rush(claims: Claims, count: int) -> int:
    """Let threads take a run at once; return how many got it."""
    gate, got = threading.Barrier(count), []

    def want() -> None:
        gate.wait()
        with suppress(TakenError):
            got.append(claims.take(LABEL))

    threads = [threading.Thread(target=want) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(got)


def test_a_holder_stays_one_by_touching_its_file(tmp_path: Path) -> None:
    claims = Claims(tmp_path, stale=100.0, beat=0.05)
    with claims.take(LABEL).kept(nothing):
        age(claims, 200)
        (file,) = claims.folder.glob("*/*")
        until(lambda: time.time() - file.stat().st_mtime < 50)
    assert claims.holder(LABEL) is None


def test_a_holder_that_slept_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Claims(tmp_path, stale=100.0)
    with claims.take(LABEL).kept(nothing) as check:
        check()
        age(claims, 200)
        with monkeypatch.context() as patch:  # another machine, which cannot know that this process lives
            patch.setattr(module, "_place", lambda: "0123456789abcdef")
            claims.take(LABEL)
        with pytest.raises(AbandonedError, match="took this run over"):
            check()
    with pytest.raises(TakenError):  # giving back what was lost takes nothing from the new holder
        claims.take(LABEL)


def test_a_request_to_stop_reaches_who_began_before_it(tmp_path: Path) -> None:
    claims, heard = Claims(tmp_path, beat=0.05), threading.Event()
    with claims.take(LABEL).kept(heard.set):
        claims.cancel()
        assert heard.wait(5)
    again = threading.Event()
    with claims.take(LABEL).kept(again.set):
        assert not again.wait(0.3)


def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)
