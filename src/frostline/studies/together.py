"""Which runs of a study can be trained in lockstep, and the training of such a group."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frostline.studies.planned import PlannedRun, saved_progress
from frostline.training import Observer, Run
from frostline.training.lockstep import Pool, Seat
from frostline.training.machine import hushed
from frostline.training.preparing import CheckedData, Prepared, build_model
from frostline.training.room import free_bytes, held_bytes, step_bytes

ObserverOf = Callable[[PlannedRun], Observer]


@dataclass(frozen=True)
class Group:
    """Runs of a study that are carried out at a time.

    Attributes:
        runs: one, or several in lockstep.
        why_alone: why a single run has nobody to share with.
    """

    runs: tuple[PlannedRun, ...]
    why_alone: str = ""


class LabelledObserver:
    """Passes on what a run says, with its name before it, and tells of its epochs in a line each.

    Args:
        label: the run's.
        say: takes a line.
    """

    def __init__(self, label: str, say: Callable[[str], None]) -> None:
        self.label = label
        self._say = say

    def say(self, text: str) -> None:
        """Pass on a line."""
        self._say(f"{self.label}: {text}")

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        """Tell of an epoch."""
        self._say(f"{self.label}: epoch {done} of {total}, mAP50 {metrics.get('metrics/mAP50(B)', 0.0):.4f}")


def group_runs(
    runs: Sequence[PlannedRun], prepared: Mapping[str, tuple[PlannedRun, CheckedData, Prepared]], device: str
) -> list[Group]:
    """Sort runs into groups that can share their batches from the first to the last, and that fit into memory.

    Runs share when their seed, their data and the epochs of their stages are equal, and when they are equally far:
    in the same epoch of the same stage.

    Args:
        runs: what is to be carried out.
        prepared: by arm, as `Study.prepare` gives it.
        device: `cpu`, `mps` or a GPU's number.
    """
    found: dict[tuple[Any, ...], list[PlannedRun]] = {}
    groups: list[tuple[list[PlannedRun], str]] = []
    for run in runs:
        why = _must_be_alone(run)
        if why:
            groups.append(([run], why))
            continue
        key = _shares_by(run, prepared[run.spec.arm][2])
        if key in found:
            found[key].append(run)
        else:
            groups.append((found.setdefault(key, [run]), "no other run with its seed, data, stages and epochs done"))
    return [one for members, why in groups for one in _fitting(members, why, prepared, device)]


def _must_be_alone(run: PlannedRun) -> str:
    settings = run.spec.settings
    if settings.get("time"):
        return "`time` ends it by the clock"
    if float(settings["batch"]) < 1:
        return "its batch is chosen by the memory that is free"
    return "it has a teacher" if run.spec.teacher is not None else ""


def _shares_by(run: PlannedRun, prepared: Prepared) -> tuple[Any, ...]:
    spec = run.spec
    done = tuple(len(progress.epoch_seconds) for progress in saved_progress(run))
    return spec.seed, spec.data, prepared.imgsz, tuple(stage.epochs for stage in spec.plan.stages), done


def _fitting(
    members: list[PlannedRun],
    why: str,
    prepared: Mapping[str, tuple[PlannedRun, CheckedData, Prepared]],
    device: str,
) -> Iterable[Group]:
    """Split runs so that each part fits into memory, in parts as equal as can be."""
    if len(members) == 1:
        return [Group((members[0],), why)]
    largest = max(members, key=lambda run: prepared[run.spec.arm][2].parameters)
    planned, checked, ready = prepared[largest.spec.arm]
    held = held_bytes(ready.parameters, str(planned.spec.settings["optimizer"]))
    with hushed():
        model, _ = build_model(planned.spec, checked.dataset.names)
        step = step_bytes(model, int(planned.spec.settings["batch"]), ready.imgsz)
    at_once = max((free_bytes(device) - step) // held, 1)
    parts = -(-len(members) // at_once)
    size = -(-len(members) // parts)
    cut = [tuple(members[start : start + size]) for start in range(0, len(members), size)]
    return [Group(part, "" if len(part) > 1 else "the memory that is free holds one run at a time") for part in cut]


def run_together(
    group: Group,
    carry_out: Callable[[PlannedRun, Observer, Seat], Run],
    observer_of: ObserverOf,
    device: str,
) -> dict[str, Run | Exception]:
    """Carry out the runs of a group in lockstep, Ultralytics' own output being silent.

    Args:
        group: two runs or more.
        carry_out: carries one out, in its seat.
        observer_of: gives each run its observer.
        device: `cpu`, `mps` or a GPU's number.

    Returns:
        By label, each run, or why it failed.

    Raises:
        KeyboardInterrupt: the user stopped them.
    """

    def work(run: PlannedRun) -> Callable[[Seat], Run]:
        return lambda seat: carry_out(run, observer_of(run), seat)

    pool: Pool[Run] = Pool(tuple(run.label for run in group.runs), device)
    with hushed():
        done = pool.run({run.label: work(run) for run in group.runs})
    gc.collect()
    return done
