"""The comparison of runs: one table with a row a run, and one with the spread of each arm over its seeds.

What a folder cannot tell is an empty cell, never a zero: a run of plain Ultralytics has no COCO columns, an unfinished
one no final metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from frostline import __version__
from frostline.analysis.curves import best_epoch, epochs_to_fraction
from frostline.analysis.metrics import METRICS, metric_name
from frostline.analysis.runs import EVALUATION, RunFolder, find_whole_runs
from frostline.errors import InputError, did_you_mean
from frostline.files import write_json, written_beside

_EVALUATED = "on the validation split; of a folder without run.json, what its evaluation.json says was evaluated"
_BEST = f"Ultralytics' definition, of the best checkpoint {_EVALUATED}"
_COCO = f"COCO's definition (faster-coco-eval), of the best checkpoint {_EVALUATED}"

# Columns that every comparison has, in their order: type and where the number comes from.
COLUMNS: Mapping[str, tuple[type[pl.DataType], str]] = {
    "arm": (pl.String, "run.json; else the folder's name"),
    "seed": (pl.Int64, "run.json; else the folder's name (seed0) or args.yaml"),
    "status": (pl.String, "run.json"),
    "freeze_depth": (pl.Int64, "leading layers frozen throughout: run.json; else args.yaml"),
    **dict.fromkeys(METRICS, (pl.Float64, _BEST)),
    "metrics_from": (pl.String, "the file that mAP50, mAP50-95, precision, recall and best_epoch were read from"),
    "best_epoch": (pl.Int64, "epoch of the best checkpoint, from 1: run.json; else results.csv, highest mAP50-95"),
    "epochs": (pl.Int64, "epochs in results.csv"),
    "epochs_to_90": (pl.Int64, "results.csv: first epoch with 90 % of the final mAP50, the mean of the last 5 epochs"),
    "overfitting_gap": (pl.Float64, "mAP50-95 on the training split minus on the validation split, both Ultralytics'"),
    "AP_small": (pl.Float64, _COCO + ": objects up to 32 x 32 pixels"),
    "AP_medium": (pl.Float64, _COCO + ": objects from 32 x 32 to 96 x 96 pixels"),
    "AP_large": (pl.Float64, _COCO + ": objects from 96 x 96 pixels"),
    "coco_mAP50": (pl.Float64, _COCO),
    "coco_mAP50-95": (pl.Float64, _COCO),
    "epoch_seconds": (pl.Float64, "median over epochs: run.json; else the time column of results.csv"),
    "inference_ms": (
        pl.Float64,
        "run.json, else evaluation.json: median milliseconds an image of the fused network and NMS, batch 1, on the "
        "device that stands there under inference",
    ),
    "wall_seconds": (pl.Float64, "run.json"),
    "peak_rss_bytes": (pl.Int64, "run.json: largest resident memory of the process"),
    "peak_cuda_bytes": (pl.Int64, "run.json: largest allocation of PyTorch on the GPU"),
    "trainable_parameters": (pl.Int64, "run.json"),
    "frozen_parameters": (pl.Int64, "run.json"),
    "audit": (pl.String, "run.json"),
    "folder": (pl.String, "where the run is"),
}
SMALL_CLASSES = "AP50_small_classes"
CLASS_PREFIX = "AP50/"
_SUMMARIZED = (
    *METRICS,
    "best_epoch",
    "epochs_to_90",
    "overfitting_gap",
    "AP_small",
    SMALL_CLASSES,
    "AP_medium",
    "AP_large",
    "epoch_seconds",
    "inference_ms",
    "peak_rss_bytes",
    "peak_cuda_bytes",
)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: the run folders, in the order of the rows.
        frame: a row a run; the columns of `COLUMNS`, the mean AP50 of the small classes if asked for, and one
            `AP50/<class>` for each class.
        summary: what `summarize` gives.
        sources: where each column's numbers come from.
        small_classes: the classes that were asked for as small.
    """

    runs: tuple[RunFolder, ...]
    frame: pl.DataFrame
    summary: pl.DataFrame
    sources: Mapping[str, str]
    small_classes: tuple[str, ...] = ()

    def write_csv(self, path: Path) -> None:
        """Write `frame` as CSV, whole or not at all; an empty cell is an empty field."""
        with written_beside(path) as beside:
            self.frame.write_csv(beside)

    def as_json(self) -> dict[str, Any]:
        """Give everything as plain values: `runs`, `arms` and `sources`."""
        return {
            "schema": 1,
            "frostline": __version__,
            "sources": dict(self.sources),
            "runs": self.frame.to_dicts(),
            "arms": self.summary.to_dicts(),
        }

    def write_json(self, path: Path) -> None:
        """Write `as_json`, whole or not at all."""
        write_json(path, self.as_json())


def compare(
    paths: Iterable[Path | str], metrics: Sequence[str] = ("mAP50", "mAP50-95"), small_classes: Sequence[str] = ()
) -> pl.DataFrame:
    """Compare the runs under some folders, one row a run.

    Args:
        paths: study, arm, run and plain Ultralytics folders, in any mix.
        metrics: those of `metrics.METRICS` whose columns come first; the others follow them.
        small_classes: names of classes whose AP50 is averaged into `AP50_small_classes`.

    Returns:
        The `frame` of a `Comparison`.

    Raises:
        InputError: a folder without results, an unknown metric or class, a file that cannot be read.
    """
    return compare_runs(find_whole_runs(paths), metrics, small_classes).frame


def compare_runs(
    runs: Sequence[RunFolder],
    metrics: Sequence[str] = ("mAP50", "mAP50-95"),
    small_classes: Sequence[str] = (),
) -> Comparison:
    """Compare run folders that were found already; arguments and errors as in `compare`."""
    chosen = chosen_metrics(metrics)
    classes = _class_names(runs)
    for name in small_classes:
        if classes and name not in classes:
            raise InputError(f"unknown class '{name}'{did_you_mean(name, classes)} (known: {', '.join(classes)})")
    columns = _columns(chosen, classes, small_classes)
    rows = [_row(run, classes, small_classes) for run in runs]
    frame = pl.DataFrame(
        [[row[name] for name in columns] for row in rows],
        schema={name: kind for name, (kind, _) in columns.items()},
        orient="row",
    )
    sources = {name: source for name, (_, source) in columns.items()}
    counted = frame.filter(pl.Series([run.counts for run in runs], dtype=pl.Boolean))
    return Comparison(tuple(runs), frame, summarize(counted), sources, tuple(small_classes))


def chosen_metrics(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics that some words name, each once, in their order.

    Raises:
        InputError: an unknown metric, or none at all.
    """
    chosen = tuple(dict.fromkeys(metric_name(word) for word in metrics))
    if not chosen:
        raise InputError(f"no metric named; known: {', '.join(METRICS)}")
    return chosen


def summarize(frame: pl.DataFrame) -> pl.DataFrame:
    """Summarise each arm over its runs.

    Args:
        frame: rows of a `Comparison`'s frame; `compare_runs` leaves out those that are not final.

    Returns:
        A row an arm and metric that at least one run has: `arm`, `freeze_depth` (null when its runs differ), `metric`,
        `n` (runs that have the metric), `mean`, `min` and `max`.
    """
    metrics = [name for name in _SUMMARIZED if name in frame.columns]
    metrics += [name for name in frame.columns if name.startswith(CLASS_PREFIX)]
    depths = frame.group_by("arm", maintain_order=True).agg(
        pl.when(pl.col("freeze_depth").n_unique() == 1).then(pl.col("freeze_depth").first()).alias("freeze_depth")
    )
    long = frame.select("arm", pl.col(metrics).cast(pl.Float64)).unpivot(
        on=metrics, index="arm", variable_name="metric", value_name="value"
    )
    value = pl.col("value")
    spread = (
        long.drop_nulls("value")
        .group_by("arm", "metric")
        .agg(
            value.len().cast(pl.Int64).alias("n"),
            value.mean().alias("mean"),
            value.min().alias("min"),
            value.max().alias("max"),
        )
    )
    rank = {name: index for index, name in enumerate(metrics)}
    return (
        depths.with_row_index("place")
        .join(spread, on="arm")
        .sort("place", pl.col("metric").replace_strict(rank, return_dtype=pl.Int64))
        .select("arm", "freeze_depth", "metric", "n", "mean", "min", "max")
    )


def headline(run: RunFolder) -> dict[str, float | str | None]:
    """Return a run's mAP50, mAP50-95, precision, recall, best epoch, and which file they are from.

    `run.json` is asked first, or, where there is none, the `evaluation.json` of `frostline evaluate`; where neither
    has mAP, as in plain Ultralytics folders and unfinished runs, the row of `results.csv` whose weights Ultralytics
    keeps as `best.pt` answers.
    """
    values: dict[str, float | str | None] = {name: run.number("metrics", f"ultralytics/{name}") for name in METRICS}
    if values["mAP50"] is not None or values["mAP50-95"] is not None:
        if run.ours:
            return {**values, "best_epoch": run.number("best", "epoch"), "metrics_from": "run.json"}
        return {**values, "best_epoch": _best_epoch(run), "metrics_from": EVALUATION}
    epoch = _best_epoch(run)
    if run.results is None or epoch is None:
        return {**values, "best_epoch": run.number("best", "epoch"), "metrics_from": None}
    row = run.results.row(by_predicate=pl.col("epoch") == epoch, named=True)
    return {**{name: row[name] for name in METRICS}, "best_epoch": float(epoch), "metrics_from": "results.csv"}


def _best_epoch(run: RunFolder) -> int | None:
    return None if run.results is None else best_epoch(run.results)


def _row(run: RunFolder, classes: Sequence[str], small_classes: Sequence[str]) -> dict[str, Any]:
    best = headline(run)
    per_class = {name: run.number("per_class", name, "ultralytics/AP50") for name in classes}
    small = [per_class.get(name) for name in small_classes]
    gap = _difference(run.number("train_split", "ultralytics/mAP50-95"), run.number("metrics", "ultralytics/mAP50-95"))
    curve = None if run.results is None else run.results.get_column("mAP50").to_list()
    return {
        "arm": run.arm,
        "seed": run.seed,
        "status": run.status,
        "freeze_depth": run.freeze_depth,
        **best,
        "best_epoch": _whole(best["best_epoch"]),
        "epochs": None if run.results is None else run.results.height,
        "epochs_to_90": None if curve is None else epochs_to_fraction(curve),
        "overfitting_gap": gap,
        **{name: run.number("metrics", f"coco/{name}") for name in ("AP_small", "AP_medium", "AP_large")},
        **{f"coco_{name}": run.number("metrics", f"coco/{name}") for name in ("mAP50", "mAP50-95")},
        SMALL_CLASSES: _mean(small),
        **{CLASS_PREFIX + name: value for name, value in per_class.items()},
        "epoch_seconds": run.seconds_an_epoch,
        "inference_ms": run.number("inference", "ms"),
        "wall_seconds": run.number("wall_seconds"),
        "peak_rss_bytes": _whole(run.number("peak_memory", "rss_bytes")),
        "peak_cuda_bytes": _whole(run.number("peak_memory", "cuda_bytes")),
        "trainable_parameters": _whole(run.number("parameters", "trainable")),
        "frozen_parameters": _whole(run.number("parameters", "frozen")),
        "audit": run.text("audit"),
        "folder": str(run.path),
    }


def _columns(
    chosen: Sequence[str], classes: Sequence[str], small_classes: Sequence[str]
) -> dict[str, tuple[type[pl.DataType], str]]:
    columns: dict[str, tuple[type[pl.DataType], str]] = {}
    for name, column in COLUMNS.items():
        if name == METRICS[0]:
            columns |= {metric: COLUMNS[metric] for metric in (*chosen, *METRICS)}
        columns.setdefault(name, column)
        if name == "AP_small" and small_classes:
            source = f"mean AP50 of {', '.join(small_classes)}; empty unless every one has an AP50. {_BEST}"
            columns[SMALL_CLASSES] = (pl.Float64, source)
        if name == "AP_large":
            columns |= {CLASS_PREFIX + label: (pl.Float64, f"AP50 of {label}. {_BEST}") for label in classes}
    return columns


def _class_names(runs: Sequence[RunFolder]) -> list[str]:
    """List the classes that any run knows: those of `names` in the order of their ids, then others with an AP."""
    found: dict[str, None] = {}
    for run in runs:
        for key in ("names", "per_class"):
            table = run.value(key)
            if isinstance(table, Mapping):
                found |= dict.fromkeys(map(str, table.values() if key == "names" else table))
    return list(found)


def _difference(minuend: float | None, subtrahend: float | None) -> float | None:
    return None if minuend is None or subtrahend is None else minuend - subtrahend


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _whole(value: object) -> int | None:
    return round(value) if isinstance(value, int | float) else None
