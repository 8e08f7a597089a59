"""A run's own files, made from its stages' and from measurements of its best checkpoint."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frostline.analysis.overfitting import TRAIN_PREDICTIONS
from frostline.analysis.predictions import read_predictions, write_predictions
from frostline.datasets import load_dataset, pixel_format
from frostline.datasets.image_cache import ImageCache
from frostline.files import write_json, write_text
from frostline.freezing import Stage
from frostline.training.evaluation import by_source, evaluate_checkpoint
from frostline.training.latency import measure_inference
from frostline.training.preparing import Prepared
from frostline.training.spec import RunSpec, stage_folders
from frostline.training.stage import StageResult, best_weights, read_stage

TRAIN_SAMPLE = 1000
"""Training images that the overfitting gap is measured on, at most."""

TRAIN_SAMPLE_SEED = 0


def collect_stages(
    spec: RunSpec, folder: Path, results: list[StageResult], prepared: Prepared, say: Callable[[str], None]
) -> dict[str, Any]:
    """Choose the better stage, make the run's own files from the stages', and return their part of `run.json`.

    The run's best checkpoint is that of the stage with the highest mAP50-95, as Ultralytics chooses within a stage.
    """
    best = max(range(len(results)), key=lambda index: results[index].fitness)
    chosen = results[best]
    for number in range(1, len(results)):
        if results[number].fitness < results[number - 1].fitness:
            say(worse_stage(number + 1, results[number].fitness, results[number - 1].fitness))
    if len(results) > 1:
        _merge(folder, results, best)
    before = sum(stage.epochs or 0 for stage in spec.plan.stages[:best])
    verdict = "PASS" if all(result.audit["verdict"] == "PASS" for result in results) else "FAIL"
    if len(results) > 1:
        audits = [{"stage": number, **result.audit} for number, result in enumerate(results, 1)]
        write_json(folder / "audit.json", {"verdict": verdict, "stages": audits})
    for result in results:
        for note in result.audit.get("notes", ()):
            if note.startswith("warning: "):
                say(note)
    say(f"audit {verdict}" + ("" if verdict == "PASS" else f": see {folder / 'audit.json'}"))
    freeze = results[0].progress.freeze
    return {
        "names": {str(key): name for key, name in read_names(folder).items()},
        "frozen_layers": list(freeze.selected_layers),
        "total_layers": freeze.total_layers,
        "parameters": {
            "total": freeze.frozen_count + freeze.trainable_count + freeze.fixed_count,
            "trainable": freeze.trainable_count,
            "frozen": freeze.frozen_count,
            "fixed": freeze.fixed_count,
        },
        "kept_fresh": list(freeze.kept_fresh),
        "transfer": {**results[0].progress.transfer, "fresh": sorted(prepared.transfer.fresh)},
        "stages": [_stage_record(spec, number, result) for number, result in enumerate(results)],
        "best": {
            "stage": best + 1,
            "epoch": before + chosen.best_epoch if chosen.best_epoch else None,
            "weights": best_weights(folder).relative_to(folder).as_posix(),
        },
        "seeds": {**results[0].progress.seeds, "train_split_sample": TRAIN_SAMPLE_SEED},
        "epoch_seconds": [s for result in results for _, s in sorted(result.progress.epoch_seconds.items())],
        "audit": verdict,
    }


def worse_stage(number: int, fitness: float, earlier: float) -> str:
    """Word the warning that a stage ended below the best of the one before it (both mAP50-95)."""
    return (
        f"warning: stage {number} ends below stage {number - 1}'s best (mAP50-95 {fitness:.4f} against "
        f"{earlier:.4f}), which is kept as the run's best; try a lower lr0 for stage {number}, a "
        "longer warm-up, or more epochs"
    )


def read_names(folder: Path) -> dict[int, str]:
    """Return the class names that a run's predictions were made with."""
    return dict(read_predictions(folder / "predictions.parquet").settings.names)


def _stage_record(spec: RunSpec, number: int, result: StageResult) -> dict[str, Any]:
    stage, freeze = spec.plan.stages[number], result.progress.freeze
    return {
        "stage": number + 1,
        "selector": stage.selector,
        "epochs": stage.epochs,
        "frozen_layers": list(freeze.selected_layers),
        "frozen_parameters": freeze.frozen_count,
        "trainable_parameters": freeze.trainable_count,
        "batchnorms_held": len(freeze.batchnorms),
        "best_epoch": result.best_epoch,
        "batch": result.progress.batch,
        "workers": result.progress.workers,
        "resumed_at": result.progress.resumed_at,
        "nan_recoveries": len(result.progress.nan_epochs),
        **_schedule_record(stage, result),
        "metrics": {f"ultralytics/{key}": value for key, value in result.metrics.items()},
    }


def _schedule_record(stage: Stage, result: StageResult) -> dict[str, Any]:
    """Return what a schedule did: its decisions, and the stretches of epochs with one trainable set each."""
    if not stage.scheduled:
        return {}
    spans = [
        {"first": one.first, "last": one.last, "frozen_layers": one.frozen_layers} for one in result.progress.intervals
    ]
    return {"schedule": stage.schedule, "decisions": result.progress.decisions, "intervals": spans}


def _merge(folder: Path, results: list[StageResult], best: int) -> None:
    """Give a run of several stages its own weights, curves and plots."""
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)
    shutil.copyfile(results[best].weights, weights / "best.pt")
    shutil.copyfile(results[-1].folder / "weights" / "last.pt", weights / "last.pt")
    for path in sorted(results[best].folder.iterdir()):
        if path.suffix in {".png", ".jpg"} or path.name in {"predictions.parquet", "args.yaml"}:
            shutil.copyfile(path, folder / path.name)
    for name in ("results.csv", "gradients.csv"):
        write_text(folder / name, merge_curves([result.folder / name for result in results]))


def merge_curves(paths: list[Path]) -> str:
    """Join the CSV files of consecutive stages into one: epochs and time run on, a `stage` column is added.

    Args:
        paths: one file a stage; the first column is the epoch from 1, a column `time` counts seconds.

    Returns:
        CSV text with the columns of the first file.
    """
    columns: list[str] = []
    rows: list[list[str]] = []
    epoch_offset, time_offset = 0, 0.0
    for number, path in enumerate(paths, 1):
        with path.open(encoding="utf-8", newline="") as stream:
            stage = [{key.strip(): value.strip() for key, value in row.items()} for row in csv.DictReader(stream)]
        columns = columns or list(stage[0])
        for row in stage:
            row["epoch"] = str(int(row["epoch"]) + epoch_offset)
            if "time" in row:
                row["time"] = f"{float(row['time']) + time_offset:.6g}"
            rows.append([row.get(columns[0], ""), str(number), *(row.get(column, "") for column in columns[1:])])
        epoch_offset = int(stage[-1]["epoch"])
        time_offset = float(stage[-1].get("time", 0.0))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([columns[0], "stage", *columns[1:]])
    writer.writerows(rows)
    return out.getvalue()


def measure_run(
    spec: RunSpec, folder: Path, device: str, imgsz: int, images: ImageCache | None = None
) -> dict[str, Any]:
    """Measure a run's best checkpoint, and return that part of `run.json`, each AP named by its source.

    Ultralytics' figures come from the stage's evaluation; COCO's from the recorded detections; those on the training
    split, without augmentation, from a seeded sample of at most `TRAIN_SAMPLE` images, whose boxes are kept in
    `train_predictions.parquet`. The sample is the same for all runs, so that they can be compared image by image.
    """
    predictions = read_predictions(folder / "predictions.parquet")
    stage = _winning_stage(folder, len(spec.plan.stages))
    weights = best_weights(folder)
    fitted = evaluate_checkpoint(
        weights,
        spec.data_file,
        imgsz=imgsz,
        batch=int(spec.settings["batch"]),
        device=device,
        folder=folder,
        split="train",
        keep=TRAIN_SAMPLE,
        sample_seed=TRAIN_SAMPLE_SEED,
        arguments=spec.settings,
        quiet=True,
        images=images,
    )
    write_predictions(folder / TRAIN_PREDICTIONS, fitted.frame, fitted.settings)
    dataset = load_dataset(spec.data_file)
    return {
        **by_source(stage.metrics, stage.per_class, predictions),
        "train_split": {
            "images": fitted.images,
            "ultralytics/mAP50": fitted.map50,
            "ultralytics/mAP50-95": fitted.map50_95,
        },
        "inference": measure_inference(weights, dataset.val, pixel_format(dataset), imgsz=imgsz, device=device),
    }


def _winning_stage(folder: Path, stages: int) -> StageResult:
    found = [result for result in map(read_stage, stage_folders(folder, stages)) if result is not None]
    return max(found, key=lambda result: result.fitness)
