"""Runs evaluated after their training: what the statistics need, made from a checkpoint, beside a run of anybody."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frostline.analysis.predictions import Predictions, write_predictions
from frostline.analysis.runs import EVALUATION, RunFolder
from frostline.datasets import Dataset
from frostline.errors import InputError
from frostline.files import finite, write_json
from frostline.training.evaluation import by_source, evaluate_checkpoint
from frostline.training.evaluation_jobs import Asked, Job, choose_folder, find_checkpoints, make_job
from frostline.training.latency import measure_inference
from frostline.training.machine import choose_device, describe_device, loader_workers, versions
from frostline.training.threads import usable_threads

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Evaluated:
    """A run that was evaluated, now or earlier.

    Attributes:
        run: the run folder; the checkpoint's folder where there is no run.
        folder: where `predictions.parquet` and `evaluation.json` (or a run's own `run.json`) are.
        record: content of that JSON file.
        skipped: why nothing was computed; None where it was.
    """

    run: Path
    folder: Path
    record: dict[str, Any] = field(repr=False)
    skipped: str | None = None


def evaluate(
    targets: Sequence[str | Path],
    *,
    data: str | Path | None = None,
    split: str = "val",
    weights: str = "best",
    imgsz: int | None = None,
    batch: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    trust: bool = False,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Evaluated]:
    """Evaluate runs from their checkpoints, and write for each what intervals need.

    No file of the run itself is touched. Everything is checked before the first image is read.

    Args:
        targets: run, arm or study folders, of Frostline or plain Ultralytics, and checkpoints, in any mix.
        data: data.yaml; by default what the run was trained on.
        split: `val` or `test`.
        weights: `best`, `last` or a checkpoint's path, which needs a single run.
        imgsz: longer side, pixels; by default that of the training.
        batch: that of a training; twice as many images are evaluated at once, and with rectangular batches their number
            changes the padding. By default that of the training.
        device: `cpu`, `mps` or a GPU's number; by default the first GPU, else the CPU.
        out: folder to write to, for a single run.
        force: evaluate again what was evaluated already.
        trust: open checkpoints without the restricted loader.
        say: told what is done, a line each.
        progress: called with (images done, images in all).

    Returns:
        One for each run, in their order.

    Raises:
        InputError: no run or checkpoint, data that is not there or has other classes, or a folder that holds
            predictions that nothing tells the origin of.

    Example:
        >>> found = evaluate(["runs/detect/train"], data="data.yaml")  # doctest: +SKIP
        >>> found[0].record["metrics"]["ultralytics/mAP50"]  # doctest: +SKIP
    """
    if split not in ("val", "test"):
        raise InputError(f"split '{split}': expected val or test")
    for what, number, least in (("imgsz", imgsz, 32), ("batch", batch, 1)):
        if number is not None and number < least:
            raise InputError(f"{what} {number}: expected at least {least}")
    chosen = choose_device(device)
    asked = Asked(None if data is None else str(data), split, imgsz, batch, trust, say)
    found = [pair for target in targets for pair in find_checkpoints(Path(target), weights)]
    if len(found) > 1 and (out is not None or weights not in ("best", "last")):
        raise InputError(f"{len(found)} runs: --out, and a checkpoint for --weights, go with a single one")
    read: dict[str, Dataset] = {}
    jobs = [make_job(run, path, asked, read) for run, path in found]
    folders = [choose_folder(job, None if out is None else Path(out)) for job in jobs]
    known = [None if force else _known(job, folder, out is None) for job, folder in zip(jobs, folders, strict=True)]
    total = sum(len(job.images) for job, already in zip(jobs, known, strict=True) if already is None)
    seen = 0

    def advance(images: int) -> None:
        nonlocal seen
        seen += images
        progress(seen, total)

    done: list[Evaluated] = []
    for job, folder, already in zip(jobs, folders, known, strict=True):
        if already is None:
            say(f"{job.weights}: {len(job.images)} images, {split} of {job.dataset.yaml}, on {describe_device(chosen)}")
        done.append(already or _evaluate(job, folder, chosen, advance))
    return done


def _known(job: Job, folder: Path, usual: bool) -> Evaluated | None:
    """Return an evaluation that is there already and is the same; None where it is still to be made.

    Args:
        job: what to evaluate.
        folder: where to.
        usual: the folder was not asked for.

    Raises:
        InputError: the folder holds predictions of unknown origin.
    """
    if usual and job.as_finished and (job.run.path / PREDICTIONS).is_file():
        return Evaluated(job.run.path, job.run.path, dict(job.run.record), "Frostline did so as the run finished")
    if not (folder / PREDICTIONS).is_file():
        return None
    record = RunFolder(folder, "", None).evaluation
    if not record:
        raise InputError(
            f"{folder / PREDICTIONS}: nothing says what it is of; --force replaces it, --out writes elsewhere"
        )
    request = finite(job.request)
    before = {key: record.get(key) for key in request}
    for each in (request, before):  # the same checkpoint, wherever its folder was moved to
        each["checkpoint"] = (each["checkpoint"] or {}).get("sha256")
    return Evaluated(job.run.path, folder, dict(record), "evaluated already") if before == request else None


def _evaluate(job: Job, folder: Path, device: str, advance: Callable[[int], None]) -> Evaluated:
    started, request = time.perf_counter(), job.request
    with tempfile.TemporaryDirectory() as scratch:
        found = evaluate_checkpoint(
            job.weights, job.dataset.yaml, imgsz=request["imgsz"], batch=request["batch"], device=device,
            folder=Path(scratch), split=request["split"], workers=loader_workers(None, device),
            arguments=request["arguments"], quiet=True, advance=advance,
        )  # fmt: skip
    record: dict[str, Any] = {
        "schema": 1,
        **_identity(job, folder),
        **request,
        "data": str(job.dataset.yaml),
        "conf": found.settings.conf,
        "iou": found.settings.iou,
        "names": {str(key): name for key, name in found.settings.names.items()},
        "images": found.images,
        **by_source(found.metrics, found.per_class, Predictions(found.frame, found.settings)),
        "inference": measure_inference(job.weights, job.images, job.pixels, imgsz=request["imgsz"], device=device),
        "pixels": job.pixels.to_dict(),
        "device": describe_device(device),
        "threads": usable_threads(),
        "versions": versions(),
        "evaluated": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(time.perf_counter() - started, 3),
    }
    try:
        # The record is the mark of a whole evaluation: an old one must not stand beside new predictions.
        (folder / EVALUATION).unlink(missing_ok=True)
        write_predictions(folder / PREDICTIONS, found.frame, found.settings)
        write_json(folder / EVALUATION, record)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another with --out") from error
    return Evaluated(job.run.path, folder, finite(record))


def _identity(job: Job, folder: Path) -> dict[str, Any]:
    """Say whose evaluation it is, where the folder does not: a run's own folder tells name and seed itself."""
    if folder.absolute() == job.run.path.absolute() or not (job.run.path / "weights").is_dir():
        return {}
    return {"arm": job.run.arm, "seed": job.run.seed, "freeze_depth": job.run.freeze_depth}
