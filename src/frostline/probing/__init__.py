"""What a model and a dataset say before and beside training. So far: what a run will cost."""

from __future__ import annotations

from frostline.probing.cost import BatchCost, RunCost, estimate_run, time_batch

__all__ = ["BatchCost", "RunCost", "estimate_run", "time_batch"]
