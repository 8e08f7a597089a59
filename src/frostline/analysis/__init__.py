"""Numbers from predictions and learning curves: metrics, convergence, and runs side by side. No torch."""

from __future__ import annotations

from frostline.analysis.coco import CocoMetrics, evaluate_coco
from frostline.analysis.comparing import Comparison, chosen_metrics, compare, compare_runs, headline, summarize
from frostline.analysis.curves import (
    METRICS,
    best_epoch,
    epoch_seconds,
    epochs_to_fraction,
    final_value,
    metric_name,
    read_results,
)
from frostline.analysis.predictions import (
    DetectionTable,
    Predictions,
    PredictionSettings,
    read_predictions,
    write_predictions,
)
from frostline.analysis.runs import RunFolder, experiment_folder, find_runs

__all__ = [
    "METRICS",
    "CocoMetrics",
    "Comparison",
    "DetectionTable",
    "PredictionSettings",
    "Predictions",
    "RunFolder",
    "best_epoch",
    "chosen_metrics",
    "compare",
    "compare_runs",
    "epoch_seconds",
    "epochs_to_fraction",
    "evaluate_coco",
    "experiment_folder",
    "final_value",
    "find_runs",
    "headline",
    "metric_name",
    "read_predictions",
    "read_results",
    "summarize",
    "write_predictions",
]
