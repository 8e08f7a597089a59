"""Names of metrics, and how they are spelt elsewhere."""

from __future__ import annotations

from frostline.errors import InputError, did_you_mean

METRICS = ("mAP50", "mAP50-95", "precision", "recall")
LOWER_IS_BETTER = frozenset({"epochs_to_90", "epoch_seconds"})

ALIASES = {
    "metrics/precision(B)": "precision",
    "metrics/recall(B)": "recall",
    "metrics/mAP50(B)": "mAP50",
    "metrics/mAP50-95(B)": "mAP50-95",
    # The YOLOv5 repository, before there was an Ultralytics package.
    "metrics/precision": "precision",
    "metrics/recall": "recall",
    "metrics/mAP_0.5": "mAP50",
    "metrics/mAP_0.5:0.95": "mAP50-95",
}


def metric_name(word: str) -> str:
    """Return the one of `METRICS` that a word means, in any case or as Ultralytics spells it in `results.csv`.

    Raises:
        InputError: no such metric.
    """
    known = {name.lower(): name for name in METRICS} | {raw.lower(): name for raw, name in ALIASES.items()}
    name = known.get(word.strip().lower())
    if name is None:
        raise InputError(f"unknown metric '{word}'{did_you_mean(word, METRICS)} (known: {', '.join(METRICS)})")
    return name
