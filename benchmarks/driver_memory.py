"""Does the memory of the process that drives a study grow with its runs? Prints the resident set after every run.

Two drivers are measured: of runs in processes, whose worker is a stub here that only writes a finished record, and
of real runs in this process, of a detector so small that one takes seconds.

    python benchmarks/driver_memory.py --processes 100 --here 20
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "integration"))
from tiny import SETTINGS, write_checkpoint, write_dataset, write_model

import frostline as fl
from frostline.studies import Study
from frostline.studies.driving import drive
from frostline.studies.executors.base import Order
from frostline.studies.executors.processes import ProcessExecutor, ProcessHandle
from frostline.studies.file import StudyFile

STUB = """
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "run.json").write_text(json.dumps({"status": "finished", "audit": "PASS"}))
"""


def resident() -> float:
    """Return this process's resident set, MiB."""
    return float(psutil.Process().memory_info().rss / 2**20)


@dataclass(frozen=True)
class StubOrder(Order):
    """A run whose process writes a finished record and ends."""

    def words(self, device: str | None = None, python: str | None = None) -> list[str]:
        return [sys.executable, "-S", "-c", STUB, str(self.folder)]


class StubExecutor(ProcessExecutor):
    """The executor of processes, with stubs in them."""

    def submit(self, order: Order) -> ProcessHandle:
        return super().submit(StubOrder(**{field.name: getattr(order, field.name) for field in fields(Order)}))


def study_of(folder: Path, runs: int) -> Study:
    """Return a study of tiny runs, one epoch each."""
    folder.mkdir(parents=True)
    value: dict[str, Any] = {
        "model": str(write_checkpoint(write_model(folder))), "data": str(write_dataset(folder / "squares")),
        "train": {**SETTINGS, "epochs": 1}, "seeds": list(range(runs)), "arms": {"baseline": {}},
    }  # fmt: skip
    return Study(StudyFile.parse(value), folder / "study")


def in_processes(folder: Path, runs: int) -> list[float]:
    """Drive stubs, and return the resident set after each that ended."""
    study, found, ended = study_of(folder, runs), [resident()], 0

    def look(standing: Any) -> None:
        nonlocal ended
        now = sum(one.state == "finished" for one in standing)
        if now > ended:
            found.append(resident())
            print(f"processes: {now} of {runs} runs, {found[-1]:.1f} MiB")
        ended = now

    outcome = drive(study.folder, study.runs(), StubExecutor(4, ["cpu"]), "cpu", print, look)
    assert outcome.complete
    return found


def in_this_process(folder: Path, runs: int) -> list[float]:
    """Carry real runs out here, and return the resident set before each and after the last."""
    found: list[float] = []

    def on_run(number: int, count: int, planned: Any) -> None:
        found.append(resident())
        print(f"here: before run {number} of {count}, {found[-1]:.1f} MiB", flush=True)

    outcome = study_of(folder, runs).run(device="cpu", on_run=on_run)
    assert outcome.complete
    return [*found, resident()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=100, metavar="N", help="runs in processes, stubs")
    parser.add_argument("--here", type=int, default=20, metavar="N", help="real runs in this process")
    args = parser.parse_args()
    fl.Study  # noqa: B018 - everything is imported before the first look
    for name, measure, runs in (
        ("processes", in_processes, args.processes),
        ("here", in_this_process, args.here),
    ):
        if not runs:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            found = measure(Path(temporary) / "of", runs)
        half = found[len(found) // 2 :]
        told = {"driver": name, "runs": runs, "first_mib": found[0], "second_half_mib": [min(half), max(half)]}
        print(json.dumps({**told, "last_mib": found[-1], "growth_of_second_half_mib": round(half[-1] - half[0], 2)}))


if __name__ == "__main__":
    main()
