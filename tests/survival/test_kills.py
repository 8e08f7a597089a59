"""A study is killed by SIGKILL at random moments and started again until it is complete: nothing is lost or redone."""

from __future__ import annotations

import itertools
import os
import random
import time
from pathlib import Path

import pytest
from inspecting import Ledger
from killing import MODES, MOMENTS, Driver, Tally, parts, write_study

SEED = int(os.environ.get("FROSTLINE_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
KILLS = int(os.environ.get("FROSTLINE_KILLS", "200"))
WALKS = 4
"""Tests that the two hundred kills are divided among, to run side by side."""
A_STUDY = 10
"""Kills of one study, before it is left to complete."""

WAYS = [
    (name, mode) for turn in range(3) for name, mode in zip(MOMENTS, itertools.cycle([*MODES][turn:] + [*MODES][:turn]))
]
"""Every moment in every mode; a study goes on in another mode than it was killed in."""


def kill_again_and_again(folder: Path, checkpoint: Path, data: Path, kills: int, walk: int = 0) -> Tally:
    """Kill studies, which go on in another mode each time, at moments of every kind in turn."""
    rng, tally = random.Random(SEED + walk), Tally()
    print(f"\nFROSTLINE_KILL_SEED={SEED}, walk {walk}")
    file = write_study(folder, checkpoint, data)
    ways = itertools.cycle(WAYS)
    for number in itertools.count():
        wanted = min(tally.total + A_STUDY, kills)
        project, ledger = folder / f"study{number}", Ledger()
        complete = False
        while tally.total < wanted and not complete:
            name, mode = next(ways)
            driver = Driver(file, project, mode)
            came = MOMENTS[name](driver, rng, tally)
            workers = name.startswith("writing") or rng.random() < 0.6
            if came:
                driver.kill(workers, rng)
                left = list(parts(project))
                tally.kills[name] = tally.kills.get(name, 0) + 1
                tally.torn += len(left)
            else:  # it was quicker
                assert driver.process.returncode == 0, driver.said()[-3000:]
                tally.survived, complete = tally.survived + 1, True
                left = []
            after = f"{'killed' if came else 'ended'} {time.time() - driver.begun:.1f} s after its start"
            print(f"{tally.total:3d} {mode}: {name}{' with its workers' if workers else ''}, {after}; torn: {left}")
            ledger.look(project, folder)
        driver = Driver(file, project, [*MODES][number % 3])
        assert driver.process.wait(300) == 0, driver.said()[-3000:]
        ledger.conclude(project, folder)
        if tally.total >= kills:
            break
    print(f"{tally.total} kills ({tally.kills}), {tally.torn} files half written, {tally.survived} starts were quicker")
    return tally


@pytest.mark.integration
@pytest.mark.slow
def test_ten_kills(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    assert kill_again_and_again(tmp_path, tiny_checkpoint, tiny_data, 10).total == 10


@pytest.mark.integration
@pytest.mark.torture
@pytest.mark.parametrize("walk", range(WALKS))
def test_two_hundred_kills(walk: int, tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    kills = KILLS // WALKS
    tally = kill_again_and_again(tmp_path, tiny_checkpoint, tiny_data, kills, walk)
    assert tally.total == kills
    assert kills < 50 or (set(tally.kills) == set(MOMENTS) and tally.torn)
