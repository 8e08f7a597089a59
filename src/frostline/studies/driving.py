"""Driving a study's runs through an executor: hand them in, watch them, say what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.studies.carrying import OtherError, StudyOutcome
from frostline.studies.claims import Claims
from frostline.studies.executors.base import ENDED, Executor, Handle, Order, State
from frostline.studies.planned import PlannedRun
from frostline.training import Run

LOOK_SECONDS = 0.5
Say = Callable[[str], None]


class RunError(RuntimeError):
    """A run that failed in the process that carried it out."""


@dataclass(frozen=True)
class Standing:
    """A run, and where its executor has it.

    Attributes:
        planned: the run.
        state: of its handle; `finished` for one that was finished before.
    """

    planned: PlannedRun
    state: State


OnLook = Callable[[Sequence[Standing]], None]


def drive(
    folder: Path,
    runs: Sequence[PlannedRun],
    executor: Executor,
    device: str | None,
    say: Say,
    on_look: OnLook,
    track: str | None = None,
) -> StudyOutcome:
    """Carry out every run that is not finished.

    Args:
        folder: the study's.
        runs: all of it.
        executor: where to.
        device: asked for, or None.
        say: takes lines for the user.
        on_look: told twice a second where the runs stand.
        track: the tracker that keeps them, or None.

    Raises:
        KeyboardInterrupt: the user stopped it, here or by `frostline study cancel`; every run has been stopped then.
    """
    claims = Claims(folder)
    cancelled = claims.cancelled_since()
    handles: dict[str, Handle] = {}
    told: set[str] = set()
    try:
        for planned in runs:
            if not planned.finished:
                handles[planned.label] = executor.submit(Order.of(planned, folder, device, track))
        while True:
            standing = [Standing(run, _state(run, handles)) for run in runs]
            on_look(standing)
            for one in standing:
                label = one.planned.label
                if one.state == "taken":
                    _say_once(f"{label} is {_holder(claims, label)}; waiting for it", told, say)
                    if claims.holder(label) is None and not _failed_elsewhere(one.planned):
                        handles[label] = executor.submit(Order.of(one.planned, folder, device, track))
                elif one.state == "failed":
                    _say_once(f"{label} failed: {handles[label].reason}", told, say)
            if all(_is_over(one, claims) for one in standing):
                break
            if cancelled():
                raise KeyboardInterrupt("cancelled")
            time.sleep(LOOK_SECONDS)
    finally:
        executor.close()
    return _outcome(runs, handles)


def _state(planned: PlannedRun, handles: dict[str, Handle]) -> State:
    handle = handles.get(planned.label)
    return "finished" if handle is None else handle.state


def _is_over(one: Standing, claims: Claims) -> bool:
    if one.state == "taken":
        return claims.holder(one.planned.label) is None and _failed_elsewhere(one.planned)
    return one.state in ENDED


def _failed_elsewhere(planned: PlannedRun) -> bool:
    run = Run.open(planned.folder)
    return run is not None and run.status == "failed"


def _holder(claims: Claims, label: str) -> str:
    return f"carried out by {claims.holder(label) or 'another process'}"


def _say_once(text: str, told: set[str], say: Say) -> None:
    if text not in told:
        told.add(text)
        say(text)


def _outcome(runs: Sequence[PlannedRun], handles: dict[str, Handle]) -> StudyOutcome:
    outcome = StudyOutcome()
    for planned in runs:
        run = Run.open(planned.folder)
        if run is not None and run.status == "finished":
            outcome.finished.append(run)
            continue
        handle = handles[planned.label]
        if handle.state == "taken":
            error: Exception = OtherError(f"by another process: {run.record.get('reason') if run else 'no record'}")
        elif handle.state == "interrupted":
            error = RunError("interrupted before its end")
        else:
            error = RunError(handle.reason or "no finished run is in its folder")
        outcome.failed.append((planned.label, " ".join(str(error).split())))
    return outcome
