"""What a job does beside its run: it waits for a claim that died, and it alone hears SLURM's signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from frostline.studies import claims as module
from frostline.studies.claims import Claims
from frostline.studies.executors.slurmjob import CLAIM_PATIENCE_SECONDS
from frostline.studies.executors.slurmscript import clean_environment
from frostline.studies.worker import await_claim

LABEL = "baseline/seed0"


def take_elsewhere(monkeypatch: pytest.MonkeyPatch, claims: Claims) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_place", lambda: "0123456789abcdef")
        return claims.take(LABEL).file


def test_a_job_waits_for_the_claim_of_a_node_that_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLAIM_PATIENCE_SECONDS > module.STALE_SECONDS + module.BEAT_SECONDS
    file = take_elsewhere(monkeypatch, Claims(tmp_path))
    then = file.stat().st_mtime - module.STALE_SECONDS + 1.5
    os.utime(file, (then, then))
    began = time.monotonic()
    await_claim(tmp_path, LABEL, began + 30)
    assert 1 < time.monotonic() - began < 15 and Claims(tmp_path).holder(LABEL) is None


def test_a_job_does_not_wait_for_ever_nor_when_it_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_elsewhere(monkeypatch, Claims(tmp_path))
    began = time.monotonic()
    await_claim(tmp_path, LABEL, began + 1.5)
    assert 1 < time.monotonic() - began < 10 and Claims(tmp_path).holder(LABEL) is not None
    timer = threading.Timer(0.5, Claims(tmp_path).cancel)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        await_claim(tmp_path, LABEL, time.monotonic() + 30)
    timer.join()


PROGRAM = """
import os, signal, sys, time
heard = lambda number, frame: print('handled by', 'child' if os.getppid() == owner else 'owner', number, flush=True)
owner = os.getpid()
signal.signal(signal.SIGUSR2, heard)
signal.signal(signal.SIGTERM, heard)
from frostline.studies.executors.slurmjob import listen
terminated = listen()
child = os.fork()
if child == 0:
    print('child', flush=True)
    for _ in range(100):
        time.sleep(0.1)
    sys.exit('it did not end')
time.sleep(0.5)
os.kill(child, signal.SIGUSR2)
time.sleep(0.5)
print('alive', os.waitpid(child, os.WNOHANG) == (0, 0), flush=True)
os.kill(child, signal.SIGTERM)
print('ended by', os.WTERMSIG(os.waitpid(child, 0)[1]), terminated, flush=True)
os.kill(owner, signal.SIGUSR2)
os.kill(owner, signal.SIGTERM)
time.sleep(0.2)
print(terminated)
"""


def test_signals_are_heard_by_the_job_and_not_by_what_it_forked() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120)
    usr, term = int(signal.SIGUSR2), int(signal.SIGTERM)
    assert done.stdout.splitlines() == [
        "child",
        "alive True",
        f"ended by {term} []",
        f"handled by owner {usr}",
        f"handled by owner {term}",
        f"[{term}]",
    ]


def test_a_job_does_not_inherit_what_holds_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")
    monkeypatch.setattr("frostline.studies.executors.slurmscript.ASKED_THREADS", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ultralytics sets it where it was unset
    monkeypatch.setenv("SLURM_CONF", "/etc/a.conf")
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    with clean_environment():
        assert "OMP_NUM_THREADS" not in os.environ and os.environ["SBATCH_ACCOUNT"] == "mine"
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000")
    with clean_environment():
        assert "SLURM_MEM_PER_NODE" not in os.environ and os.environ["SLURM_CONF"] == "/etc/a.conf"
    assert os.environ["SLURM_MEM_PER_NODE"] == "1000" and os.environ["OMP_NUM_THREADS"] == "1"
    monkeypatch.setattr("frostline.studies.executors.slurmscript.ASKED_THREADS", 3)  # the user's own
    with clean_environment():
        assert os.environ["OMP_NUM_THREADS"] == "1"
