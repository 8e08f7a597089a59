"""Where runs are carried out: processes of this machine, a Ray cluster, or SLURM, behind one narrow interface."""

from __future__ import annotations

from frostline.studies.executors.base import ENDED, Executor, Handle, Order, State
from frostline.studies.executors.choosing import KINDS, Place

__all__ = ["ENDED", "KINDS", "Executor", "Handle", "Order", "Place", "State"]
