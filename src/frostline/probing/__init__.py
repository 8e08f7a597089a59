"""What a model and a dataset say before and beside training: the probe, and what a run will cost."""

from __future__ import annotations

from frostline.probing.cost import BatchCost, RunCost, estimate_run, time_batch
from frostline.probing.gradients import GradientSet, collect_gradients, signal_to_noise
from frostline.probing.probe import probe
from frostline.probing.recommend import Recommendation, recommend
from frostline.probing.regions import RegionRanking, rank_regions, regions_of
from frostline.probing.result import Probe, ProbedLayer
from frostline.probing.similarity import linear_cka

__all__ = [
    "BatchCost",
    "GradientSet",
    "Probe",
    "ProbedLayer",
    "Recommendation",
    "RegionRanking",
    "RunCost",
    "collect_gradients",
    "estimate_run",
    "linear_cka",
    "probe",
    "rank_regions",
    "recommend",
    "regions_of",
    "signal_to_noise",
    "time_batch",
]
