from .ap import PrecisionTable, Ranking, precision_table, rank_matches
from .batches import cut_batches
from .bootstrap import Resamples, Scorer, Spread, resample, work_of
from .coco import CocoMetrics, evaluate_coco
from .comparing import Comparison, chosen_metrics, compare, compare_runs, headline, summarize
from .confidence import ConfidenceCurves, ScoreDistribution, confidence_curves, score_distribution
from .confusing import Confusion, confusion
from .curves import area_under_curve, best_epoch, epoch_seconds, epochs_to_fraction, final_value, read_results
from .errors_tide import ERRORS, TideErrors, tide_errors
from .evidence import Evidence, gather
from .inference import (
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
from .intervals import Estimate, interval, p_value
from .matching import IOUS, Boxes, Matches, match_coco, match_ultralytics, read_boxes
from .metrics import METRICS, metric_name
from .panels import LeftOut, Panel
from .predictions import DetectionTable, Predictions, PredictionSettings, read_predictions, write_predictions
from .runs import RunFolder, experiment_folder, find_runs, find_whole_runs
from .scoring import RunScorer
from .seeds import Needed, SeedMean, needed, power, seed_difference, seed_mean

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
