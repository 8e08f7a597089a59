"""Cores and threads that this process may use. No torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def usable_cpus() -> int:
    """Cores that this process may use, by its affinity (which SLURM and containers set), at least 1."""
    try:
        return max(len(os.sched_getaffinity(0)), 1)
    except AttributeError:  # not on macOS
        return max(os.cpu_count() or 1, 1)


def asked_threads(environment: Mapping[str, str], after_ultralytics: bool) -> int | None:
    """Return the threads that OMP_NUM_THREADS allows; None where the user set none.

    Args:
        environment: the process's.
        after_ultralytics: Ultralytics was imported already. It sets the variable to 1 where it was unset, so that a 1
            says nothing then.
    """
    first = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is one number a nesting level
    if not first.isdigit() or int(first) < 1 or (after_ultralytics and first == "1"):
        return None
    return int(first)


ASKED_THREADS = asked_threads(os.environ, "ultralytics" in sys.modules)
"""As the user started this process: `frostline.training` imports this module before anything imports Ultralytics."""


def usable_threads(asked: int | None = ASKED_THREADS) -> int:
    """Return the threads to compute with: one a usable core, or as few as the user's OMP_NUM_THREADS says."""
    return min(usable_cpus(), asked or usable_cpus())


def lower_workers(workers: int) -> int:
    """Return loader processes that this machine can feed: at most one for each usable core."""
    return max(min(workers, usable_cpus()), 0)
