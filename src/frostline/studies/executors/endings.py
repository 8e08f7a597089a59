"""How a worker's process ended, in an executor's words."""

from __future__ import annotations

import signal
from pathlib import Path

from frostline.studies.executors.base import State
from frostline.studies.worker import BAD_INPUT, FINISHED, INTERRUPTED, TAKEN

NO_FOLDER = 72
"""The study's folder is not there on that machine (`EX_OSFILE` of sysexits.h)."""

_STATES: dict[int, State] = {FINISHED: "finished", TAKEN: "taken", INTERRUPTED: "interrupted"}


def ending(status: int, cancelled: bool = False) -> State:
    """Return what an exit status means.

    Args:
        status: of the process; negative for a signal.
        cancelled: it was asked to stop.
    """
    return _STATES.get(status, "interrupted" if cancelled else "failed")


def words_of(status: int) -> str:
    """Say how a process ended that left no reason itself."""
    if status == NO_FOLDER:
        return "the study's folder is not on that machine: every machine must see it under the same path"
    if status == -signal.SIGKILL:
        return "its process was killed (signal 9), as a machine does that runs out of memory"
    if status < 0:
        return f"its process was ended by signal {-status} ({signal.Signals(-status).name})"
    return f"its process ended with status {status}"


def last_error(log: Path, status: int) -> str | None:
    """Return the one line that a bad input left in a log; None where something else went wrong."""
    if status != BAD_INPUT:
        return None
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    said = [line.split("error: ", 1)[1].strip() for line in lines if "error: " in line]
    return said[-1] if said else None
