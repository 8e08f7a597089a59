"""The tables that answer: arms, pairs, hypotheses, convergence, cost, and what would make the answer surer."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from frostline.analysis.comparing import SMALL_CLASSES, Comparison
from frostline.analysis.evidence import Evidence
from frostline.analysis.findings import pair_frame
from frostline.analysis.metrics import METRICS
from frostline.analysis.overfitting import gap_frame
from frostline.analysis.words import Frames
from frostline.report.model import Column, Kind, Table

ULTRALYTICS = "Ultralytics' definition, from predictions.parquet"
CURVES = "results.csv"


def main_table(evidence: Evidence, frames: Frames) -> Table:
    """Build the main table: a row an arm, what it scores, how it differs from the baseline, how fast and how dear."""
    fast = frames.convergence.select("arm", "epochs_to_90", "epochs_to_90_low", "epochs_to_90_high")
    dear = frames.cost.select("arm", "epoch_seconds", "epoch_ratio", "trainable_parameters")
    gap = gap_frame(evidence).drop("interval_over")
    frame = frames.arms.join(fast, on="arm").join(dear, on="arm").join(gap, on="arm", how="left")
    seeds = pl.col("seeds").list.eval(pl.element().cast(pl.String)).list.join(", ")
    frame = frame.with_columns(seeds.alias("seeds"))
    columns = [
        Column("arm", "arm"),
        Column("freeze_depth", "freeze depth", "count", source="run.json or args.yaml"),
        Column("runs", "runs", "count"),
        *_interval("mAP50", "mAP50", "percent", ULTRALYTICS),
        *_interval("mAP50-95", "mAP50-95", "percent", ULTRALYTICS),
        *_interval("mAP50_difference", "mAP50 against baseline", "points", ULTRALYTICS),
        *_interval("mAP50-95_difference", "mAP50-95 against baseline", "points", ULTRALYTICS),
        Column("mAP50-95_p_holm", "p (Holm)", "p", source="of the difference in mAP50-95"),
        Column("mAP50-95_best", "P(best)", "p", source="share of the draws in which its mAP50-95 is the highest"),
        Column("epochs_to_90", "epochs to 90 %", "number", source=f"of the final mAP50; {CURVES}"),
        *_interval("overfitting_gap", "train - val", "points", "mAP50-95 on the training split minus validation"),
        Column("epoch_seconds", "s an epoch", "seconds", source="run.json or results.csv"),
        Column("epoch_ratio", "time against baseline", "number", source="seconds an epoch"),
        Column("trainable_parameters", "trainable", "count", source="run.json"),
    ]
    return Table("arms", "Arms", frame, _filled(frame, columns), note=_note(evidence))


def runs_model(comparison: Comparison, metrics: Sequence[str]) -> Table:
    """Build the table of runs: a row a run, without intervals."""
    source = comparison.sources
    columns = [
        Column("arm", "arm"),
        Column("seed", "seed", "count"),
        *([] if all(run.counts for run in comparison.runs) else [Column("status", "status")]),
        Column("freeze_depth", "freeze depth", "count"),
        *(Column(name, name, "percent", source=source[name]) for name in dict.fromkeys((*metrics, *METRICS))),
        Column("best_epoch", "best epoch", "count"),
        Column("epochs_to_90", "epochs to 90 %", "count"),
        Column("overfitting_gap", "train - val", "points"),
        Column("AP_small", "AP small", "percent"),
        *([Column(SMALL_CLASSES, "AP50 small classes", "percent")] if SMALL_CLASSES in source else []),
        Column("epoch_seconds", "s an epoch", "seconds"),
        Column("peak_rss_bytes", "RAM", "bytes"),
        Column("peak_cuda_bytes", "GPU", "bytes"),
    ]
    return Table("runs", "Runs", comparison.frame, _filled(comparison.frame, columns))


def answer_tables(evidence: Evidence, frames: Frames) -> list[Table]:
    """Build the tables of pairs, hypotheses and of what would make the answer surer."""
    tables = []
    if not frames.hypotheses.is_empty():
        columns: tuple[Column, ...] = (
            Column("name", "hypothesis"),
            Column("better", "better"),
            Column("than", "than"),
            Column("metric", "metric"),
            Column("difference", "difference", "signed"),
            Column("low", "from", "signed"),
            Column("high", "to", "signed"),
            Column("answer", "answer"),
            Column("reason", "reason"),
        )
        # The frame keeps the metric's own unit; people read points of mAP, and epochs and seconds as they are.
        shown = frames.hypotheses.with_columns(
            pl.when(pl.col("metric").is_in(["epochs_to_90", "epoch_seconds"]))
            .then(pl.col(key))
            .otherwise(100 * pl.col(key))
            for key in ("difference", "low", "high", "by")
        )
        note = "Declared in the study file before the runs. Differences in points, of epochs and seconds as they are."
        tables.append(Table("hypotheses", "Hypotheses", shown, _filled(shown, columns), note=note))
    pairs = pair_frame(evidence)
    if pairs.height > 1:
        columns = (
            Column("arm", "arm"),
            Column("other", "minus"),
            *_interval("difference", "mAP50-95", "points", ULTRALYTICS, "low", "high"),
            Column("p", "p", "p"),
            Column("p_holm", "p (Holm)", "p", source="adjusted for all pairs"),
        )
        tables.append(Table("pairs", "Any two arms", pairs, columns, note="Paired over images, and seed by seed."))
    if not frames.needed.is_empty():
        columns = (
            Column("arm", "arm"),
            Column("power", "chance today", "p", source="of finding a difference of one point of mAP50-95"),
            Column("seeds", "seeds for 80 %", "count", source="on these images"),
            Column("images", "images for 80 %", "count", source="with these seeds"),
        )
        note = "To find a difference of one point of mAP50-95 to the baseline. Empty: no number of them alone would do."
        tables.append(Table("needed", "What would be needed", frames.needed, columns, note=note))
    return tables


def curve_tables(frames: Frames) -> list[Table]:
    """Build the table of convergence."""
    frame = frames.convergence
    if frame.get_column("area").null_count() == frame.height:
        return []
    columns = [
        Column("arm", "arm"),
        *_interval("epochs_to_90", "epochs to 90 % of mAP50", "number", CURVES),
        *_interval("epochs_to_90_mAP50-95", "of mAP50-95", "number", CURVES),
        *_interval("epochs_to_90_difference", "mAP50 against baseline", "signed", CURVES),
        *_interval("area", "mean height of mAP50-95", "percent", CURVES),
        *_interval("area_difference", "against baseline", "points", CURVES),
        *_interval("final", "final mAP50-95", "percent", CURVES),
    ]
    note = (
        "The first epoch with 90 % of the final value, which is the mean of the last 5 epochs. Mean height: the area "
        "under the curve an epoch. Intervals are Student's over seeds, and need two."
    )
    return [Table("convergence", "Convergence", frame, _filled(frame, columns), "curves", note)]


def cost_tables(frames: Frames) -> list[Table]:
    """Build the table of costs."""
    frame = frames.cost
    columns = [
        Column("arm", "arm"),
        Column("epoch_seconds", "s an epoch", "seconds", source="median over epochs, mean over seeds"),
        Column("epoch_ratio", "against baseline", "number", source="ratio of seconds an epoch"),
        Column("training_seconds", "training", "seconds", source="sum over epochs, validation included"),
        Column("seconds_to_baseline", "to baseline's mAP", "seconds", source="first epoch with its final mAP50-95"),
        Column("reached", "runs that reach it", "count"),
        Column("peak_rss_bytes", "RAM, GiB", "bytes", source="largest resident memory of the process"),
        Column("peak_cuda_bytes", "GPU, GiB", "bytes", source="largest allocation of PyTorch"),
        Column("trainable_parameters", "trainable parameters", "count"),
        Column("inference_ms", "inference, ms an image", "number", source="batch 1, warm, median"),
    ]
    shown = _filled(frame, columns)
    return [Table("cost", "Cost", frame, shown, "cost")] if len(shown) > 1 else []


def _interval(
    key: str, header: str, kind: Kind, source: str, low: str | None = None, high: str | None = None
) -> tuple[Column]:
    return (Column(key, header, kind, low or f"{key}_low", high or f"{key}_high", source),)


def _filled(frame: pl.DataFrame, columns: list[Column] | tuple[Column, ...]) -> tuple[Column, ...]:
    """Leave out columns that no row has a value for."""
    return tuple(column for column in columns if frame.get_column(column.key).null_count() < frame.height)


def _note(evidence: Evidence) -> str:
    method = {"percentile": "percentile", "bca": "BCa"}[evidence.method]
    baseline = f" Differences are to {evidence.baseline}, on the same images." if evidence.baseline else ""
    return (
        f"Mean over seeds; in brackets the {100 * evidence.confidence:g} % interval over images and seeds "
        f"({method}, {evidence.draws:,} draws).{baseline}"
    )
