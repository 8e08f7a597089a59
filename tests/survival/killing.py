"""A small study that is started again and again, and killed at moments of every kind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from tiny import SETTINGS

MODES: dict[str, tuple[str, ...]] = {"here": (), "processes": ("--on", "processes:2"), "together": ("--together",)}
EPOCHS = 4
ARMS: dict[str, Any] = {
    "baseline": {},
    "freeze_1_to_3": {"freeze": "0-2"},
    "two_stages": {"stages": [{"epochs": 2, "freeze": "0-2", "lr0": 0.005}, {"epochs": 2}]},
}
CHECKPOINTS = (".last", ".previous", ".best")
RECORDS = (".run", ".progress", ".stage", ".audit", ".predictions", ".train_predictions", ".study", ".results")
_LIMIT_SECONDS = 240.0


def write_study(folder: Path, checkpoint: Path, data: Path) -> Path:
    """Write the study's file."""
    path = folder / "killed.yaml"
    train = {**SETTINGS, "epochs": EPOCHS}
    value = {"model": str(checkpoint), "data": str(data), "train": train, "arms": ARMS, "seeds": [0]}
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


@dataclass
class Tally:
    """What came of the kills.

    Attributes:
        kills: by moment.
        torn: files that a kill left half written.
        survived: starts that ended before their moment came.
        import_seconds: from a start to its first file.
    """

    kills: dict[str, int] = field(default_factory=dict)
    torn: int = 0
    survived: int = 0
    import_seconds: float = 6.0

    @property
    def total(self) -> int:
        """Kills in all."""
        return sum(self.kills.values())


class Driver:
    """A process that carries the study out.

    Args:
        study: its file.
        project: its folder.
        mode: of `MODES`.
        env: in place of this process's environment.
    """

    def __init__(self, study: Path, project: Path, mode: str, env: dict[str, str] | None = None) -> None:
        self.project = project
        self.begun = time.time()
        words = [
            sys.executable, "-m", "frostline", "study", "run", str(study), "--project", str(project), "--device", "cpu",
            *MODES[mode],
        ]  # fmt: skip
        self.log = project.with_suffix(".log")
        self._family: list[psutil.Process] = []
        self._looked = 0.0
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                words, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=env or dict(os.environ)
            )

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process.poll() is not None

    def look(self) -> None:
        """Note which processes it has started, so that they can be killed without looking for them first."""
        if time.monotonic() - self._looked > 0.5:
            self._looked = time.monotonic()
            with suppress(psutil.NoSuchProcess):
                self._family = psutil.Process(self.process.pid).children(recursive=True)

    def kill(self, workers: bool, rng: random.Random) -> None:
        """Kill it by SIGKILL: with the processes that it started, in any order, or alone, upon which they end."""
        victims = [psutil.Process(self.process.pid), *(self._family if workers else ())]
        rng.shuffle(victims)
        for one in victims:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        ends = time.monotonic() + 60  # one that is still loading libraries looks for its parent when it has
        while (alive := list(self._others())) and time.monotonic() < ends:
            for one in alive if workers else ():
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            time.sleep(0.05)
        assert not alive, f"still there 60 s after the study was killed: {alive}"

    def _others(self) -> Iterator[psutil.Process]:
        """Give the processes that work on the study, on behalf of this one or not."""
        for one in psutil.process_iter(["cmdline", "status"]):
            words = one.info["cmdline"] or []
            if str(self.project) in words and one.info["status"] != psutil.STATUS_ZOMBIE:
                yield one

    def said(self) -> str:
        """Return what it said."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def run_folders(project: Path) -> Iterator[Path]:
    """Give the folders that files of runs and stages are written into, and the study's own."""
    yield project
    for arm in ARMS:
        run = project / arm / "seed0"
        stages = [run, run / "stage1", run / "stage2"] if arm == "two_stages" else [run]
        yield from stages
        yield from (stage / "weights" for stage in stages)


def parts(project: Path) -> Iterator[str]:
    """Give the names of files that are being written now."""
    for folder in run_folders(project):
        with suppress(OSError), os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if ".part-" in entry.name)


Moment = Callable[[Driver, random.Random, Tally], bool]
"""Waits for a moment, and returns whether it came before the process ended."""


def until(driver: Driver, holds: Callable[[], bool]) -> bool:
    """Wait for something to hold; False where the process ended before."""
    ends = time.monotonic() + _LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < ends, f"nothing happened for {_LIMIT_SECONDS:g} s:\n{driver.said()[-2000:]}"
        if driver.ended:
            return False
        driver.look()
        time.sleep(0.0005)
    return not driver.ended


def later(driver: Driver, seconds: float) -> bool:
    """Wait for a time; False where the process ended before."""
    ends = time.monotonic() + seconds
    return until(driver, lambda: time.monotonic() >= ends)


def importing(driver: Driver, rng: random.Random, tally: Tally) -> bool:
    """While libraries are loaded, or a little after."""
    return later(driver, rng.uniform(0, 1.2 * tally.import_seconds))


def in_first_epoch(driver: Driver, rng: random.Random, tally: Tally) -> bool:
    """Once a run has begun."""
    records = [driver.project / arm / "seed0" / "run.json" for arm in ARMS]

    def begun() -> bool:
        for path in records:
            with suppress(OSError):
                if path.stat().st_mtime > driver.begun:
                    return True
        return False

    if not until(driver, begun):
        return False
    tally.import_seconds = time.time() - driver.begun
    return later(driver, rng.uniform(0, 2.0))


def anywhere(driver: Driver, rng: random.Random, tally: Tally) -> bool:
    """At any time that epochs are trained."""
    return later(driver, tally.import_seconds + rng.uniform(0, 8.0))


def writing(names: tuple[str, ...], most: int) -> Moment:
    """Return the moment in which one of some files is half written, at one of its first times."""

    def wait(driver: Driver, rng: random.Random, tally: Tally) -> bool:
        seen: set[str] = set()
        wanted = rng.randint(1, most)

        def found() -> bool:
            seen.update(name for name in parts(driver.project) if name.startswith(names))
            return len(seen) >= wanted

        before = {name for name in parts(driver.project) if name.startswith(names)}  # left by earlier kills
        wanted += len(before)
        return until(driver, found)

    return wait


def evaluating(driver: Driver, rng: random.Random, tally: Tally) -> bool:
    """Between the last epoch of a stage and the mark that it is finished."""
    stages = [
        (driver.project / "baseline" / "seed0", EPOCHS),
        (driver.project / "freeze_1_to_3" / "seed0", EPOCHS),
        (driver.project / "two_stages" / "seed0" / "stage1", 2),
        (driver.project / "two_stages" / "seed0" / "stage2", 2),
    ]
    done = {folder for folder, _ in stages if (folder / "stage.json").exists()}

    def trained() -> bool:
        for folder, epochs in stages:
            run = folder.parent if folder.name.startswith("stage") else folder
            with suppress(OSError):
                begun = (run / "run.json").stat().st_mtime > driver.begun
                if begun and folder not in done and len((folder / "results.csv").read_bytes().splitlines()) > epochs:
                    return True
        return False

    return until(driver, trained) and later(driver, rng.uniform(0, 0.8))


MOMENTS: dict[str, Moment] = {
    "first epoch": in_first_epoch,
    "writing a checkpoint": writing(CHECKPOINTS, 6),
    "evaluation": evaluating,
    "import": importing,
    "writing a record": writing(RECORDS, 8),
    "anywhere": anywhere,
}
