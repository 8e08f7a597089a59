"""Numbers from predictions and learning curves: metrics, their intervals, convergence, runs side by side. No torch."""

from __future__ import annotations

from frostline.analysis.ap import PrecisionTable, Ranking, precision_table, rank_matches
from frostline.analysis.batches import cut_batches
from frostline.analysis.bootstrap import Resamples, Scorer, Spread, resample, work_of
from frostline.analysis.coco import CocoMetrics, evaluate_coco
from frostline.analysis.comparing import Comparison, chosen_metrics, compare, compare_runs, headline, summarize
from frostline.analysis.confidence import ConfidenceCurves, ScoreDistribution, confidence_curves, score_distribution
from frostline.analysis.confusion import Confusion, confusion
from frostline.analysis.curves import (
    METRICS,
    area_under_curve,
    best_epoch,
    epoch_seconds,
    epochs_to_fraction,
    final_value,
    metric_name,
    read_results,
)
from frostline.analysis.errors_tide import ERRORS, TideErrors, tide_errors
from frostline.analysis.evidence import Evidence, gather
from frostline.analysis.inference import (
    Equivalence,
    compare_to_baseline,
    difference_spread,
    equivalence,
    estimate_arm,
    estimate_difference,
    holm,
    probability_best,
    verdict,
)
from frostline.analysis.intervals import Estimate, interval, p_value
from frostline.analysis.matching import IOUS, Boxes, Matches, match_coco, match_ultralytics, read_boxes
from frostline.analysis.panels import LeftOut, Panel
from frostline.analysis.predictions import (
    DetectionTable,
    Predictions,
    PredictionSettings,
    read_predictions,
    write_predictions,
)
from frostline.analysis.runs import RunFolder, experiment_folder, find_runs, find_whole_runs
from frostline.analysis.scoring import RunScorer
from frostline.analysis.seeds import Needed, SeedMean, needed, power, seed_difference, seed_mean

__all__ = [
    "ERRORS",
    "IOUS",
    "METRICS",
    "Boxes",
    "CocoMetrics",
    "Comparison",
    "ConfidenceCurves",
    "Confusion",
    "DetectionTable",
    "Equivalence",
    "Estimate",
    "Evidence",
    "LeftOut",
    "Matches",
    "Needed",
    "Panel",
    "PrecisionTable",
    "PredictionSettings",
    "Predictions",
    "Ranking",
    "Resamples",
    "RunFolder",
    "RunScorer",
    "ScoreDistribution",
    "Scorer",
    "SeedMean",
    "Spread",
    "TideErrors",
    "area_under_curve",
    "best_epoch",
    "chosen_metrics",
    "compare",
    "compare_runs",
    "compare_to_baseline",
    "confidence_curves",
    "confusion",
    "cut_batches",
    "difference_spread",
    "epoch_seconds",
    "epochs_to_fraction",
    "equivalence",
    "estimate_arm",
    "estimate_difference",
    "evaluate_coco",
    "experiment_folder",
    "final_value",
    "find_runs",
    "find_whole_runs",
    "gather",
    "headline",
    "holm",
    "interval",
    "match_coco",
    "match_ultralytics",
    "metric_name",
    "needed",
    "p_value",
    "power",
    "precision_table",
    "probability_best",
    "rank_matches",
    "read_boxes",
    "read_predictions",
    "read_results",
    "resample",
    "score_distribution",
    "seed_difference",
    "seed_mean",
    "summarize",
    "tide_errors",
    "verdict",
    "work_of",
    "write_predictions",
]
