"""One stage: started, resumed or only finished, then evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frostline.analysis.predictions import write_predictions
from frostline.datasets.image_cache import ImageCache
from frostline.files import leftovers, read_json, write_json
from frostline.freezing import Audit, Stage, check_saved, check_trained
from frostline.training.arithmetic import Arithmetic
from frostline.training.checkpoints import saved_tensors
from frostline.training.evaluation import Evaluation, evaluate_checkpoint
from frostline.training.intervals import interval_of, merge_audits
from frostline.training.job import StageJob
from frostline.training.lockstep import Seat
from frostline.training.machine import MemoryPeak, first_device
from frostline.training.progress import Progress
from frostline.training.resuming import Left, what_is_left
from frostline.training.saving import strip_checkpoints
from frostline.training.scheduled import RATES, ScheduledTrainer
from frostline.training.settings import for_ultralytics
from frostline.training.teacher import check_untouched
from frostline.training.trainer import StageTrainer

RECORD = "stage.json"
OnEpoch = Callable[[int, int, dict[str, float]], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class StageRun:
    """A stage to carry out.

    Attributes:
        number: from 1.
        folder: its save folder.
        stage: its selector and its settings, epochs filled in.
        tag: for the summary line.
        model: what it starts from: the run's model, or the best checkpoint of the stage before.
        weights: checkpoint for a model YAML, or None.
        data: data.yaml.
        data_here: a copy of it that is read in its place, or None.
        seed: of every generator.
        settings: Ultralytics' arguments.
        device: `cpu`, `mps`, a GPU's number, or several of them.
        freeze_fresh: see `FreezePlan`.
        exact: see `RunSpec.exact_resume`.
        teacher: path of the checkpoint that the student learns from, or None.
        teacher_print: its fingerprint.
        arithmetic: how the network computes.
        images: keeps images decoded, or None.
        seat: its place among runs in lockstep, or None.
        callbacks: of a tracker, by Ultralytics' event.
        trust: open what an earlier process left without the restricted loader.
    """

    number: int
    folder: Path
    stage: Stage
    tag: str
    model: str
    weights: str | None
    data: str
    seed: int
    settings: dict[str, Any]
    device: str
    freeze_fresh: bool
    exact: bool = False
    teacher: str | None = None
    teacher_print: str | None = None
    data_here: str | None = None
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    images: ImageCache | None = None
    seat: Seat | None = None
    callbacks: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    trust: bool = False


@dataclass(frozen=True)
class StageResult:
    """What a finished stage left behind, read from its `stage.json`.

    Attributes:
        folder: its save folder.
        metrics: Ultralytics' mAP50, mAP50-95, precision and recall of its best checkpoint.
        per_class: AP50 and AP50-95 by class name.
        audit: the audit as plain data.
        best_epoch: from 1, within the stage.
        progress: its memory.
    """

    folder: Path
    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    audit: dict[str, Any]
    best_epoch: int | None
    progress: Progress

    @property
    def weights(self) -> Path:
        """Its best checkpoint."""
        return best_weights(self.folder)

    @property
    def fitness(self) -> float:
        """What the best checkpoint is chosen by: mAP50-95, as Ultralytics does."""
        return self.metrics["mAP50-95"]


def best_weights(folder: Path) -> Path:
    """Return a stage's best checkpoint, or its last where no epoch was better than none."""
    best = folder / "weights" / "best.pt"
    return best if best.is_file() else folder / "weights" / "last.pt"


def run_stage(job: StageRun, memory: MemoryPeak, on_epoch: OnEpoch, say: Say) -> StageResult:
    """Carry a stage out, or what is left of it.

    A finished stage is read back. One whose training was done is evaluated. One that was interrupted goes on after its
    last saved epoch. Anything else starts from the beginning.
    """
    done = read_stage(job.folder)
    if done is not None:
        return done
    for part in (*leftovers(job.folder), *leftovers(job.folder / "weights")):
        part.unlink(missing_ok=True)
    if (job.folder / RECORD).exists():
        say(f"warning: {job.folder} was finished, and its files are missing or damaged: what can be is done again")
    left = what_is_left(job.folder, int(job.settings["epochs"]), say, job.trust)
    audit = _audit_from_disk(job, left) if left.state == "trained" else _train(job, left, memory, on_epoch, say)
    evaluation = evaluate_checkpoint(
        best_weights(job.folder),
        job.data_here or job.data,
        imgsz=int(job.settings["imgsz"]),
        batch=int(job.settings["batch"]),
        device=first_device(job.device),
        folder=job.folder,
        plots=bool(job.settings["plots"]),
        arguments=job.settings,
        images=job.images,
    )
    _write(job, evaluation, audit)
    result = read_stage(job.folder)
    assert result is not None
    return result


def read_stage(folder: Path) -> StageResult | None:
    """Read a finished stage; None where it is not finished."""
    progress = Progress.load(folder)
    try:
        record = read_json(folder / RECORD)
        if progress is None or not best_weights(folder).is_file():
            return None
        return StageResult(
            folder, record["metrics"], record["per_class"], record["audit"], progress.best_epoch, progress
        )
    except (OSError, ValueError, KeyError):
        return None


def _train(job: StageRun, left: Left, memory: MemoryPeak, on_epoch: OnEpoch, say: Say) -> Audit:
    overrides = {
        **for_ultralytics(job.settings),
        "model": job.model,
        "data": job.data,
        "seed": job.seed,
        "device": job.device,
        "project": str(job.folder.parent.absolute()),
        "name": job.folder.name,
        "save_dir": str(job.folder.absolute()),
        "exist_ok": True,
        "task": "detect",
        "mode": "train",
    }
    if job.weights is not None:
        overrides["pretrained"] = job.weights
    if job.teacher is not None:
        overrides["distill_model"] = job.teacher
    if left.state == "resume":
        overrides["resume"] = str(job.folder / "weights" / "last.pt")
    else:
        for name in ("results.csv", "gradients.csv", RATES):
            (job.folder / name).unlink(missing_ok=True)
    progress = Progress.load(job.folder) if left.state == "resume" else None
    if progress is not None and progress.batch is not None and 0 < progress.batch < float(job.settings["batch"]):
        overrides["batch"] = progress.batch  # more did not fit
    features = job.folder / "features.bin" if job.settings.get("cache_features") else None
    kind = ScheduledTrainer if job.stage.scheduled else StageTrainer
    trainer = kind(
        overrides=overrides,
        _callbacks=StageJob(
            job.stage, job.tag, job.freeze_fresh, progress, memory, on_epoch, say, job.exact, job.teacher_print,
            job.arithmetic, job.images, bool(job.settings.get("direct_mosaic")), features, job.seat,
            job.callbacks, left.notes, job.data_here, bool(job.settings.get("fill_uninitialized_memory", True)),
        ).carried(),
    )  # fmt: skip
    try:
        trainer.train()
    finally:
        if features is not None:
            features.unlink(missing_ok=True)
    audit = trainer.audit_result
    assert audit is not None
    if trainer.progress.resumed_at:
        audit.notes.append(
            "resumed at epoch " + ", ".join(map(str, trainer.progress.resumed_at)) + ": a checkpoint holds half "
            "precision, so frozen weights were compared bitwise since the resume and in half precision since the start"
        )
    return audit


def _audit_from_disk(job: StageRun, left: Left) -> Audit:
    """Audit a stage whose process died after its last epoch: by its checkpoint and its memory."""
    progress = Progress.load(job.folder)
    assert progress is not None
    if left.notes:
        progress.notes += left.notes
        progress.save(job.folder)
    audit, fingerprints = Audit(), progress.fingerprints
    if progress.intervals:
        audit = merge_audits([one for one in progress.intervals if one.audit is not None])
        best = progress.best_epoch if (job.folder / "weights" / "best.pt").is_file() else len(progress.signals)
        fingerprints = interval_of(progress.intervals, best or len(progress.signals)).fingerprints
    audit.notes.append("interrupted after the last epoch: audited by the checkpoint, not by the live model")
    audit.checks.append(check_trained(progress.freeze, progress.got_gradient, audit))
    audit.checks.append(check_saved(fingerprints, saved_tensors(best_weights(job.folder), job.trust)))
    if job.teacher_print is not None:
        audit.checks.append(check_untouched(job.teacher_print, progress.teacher or "missing", ", after the last epoch"))
    strip_checkpoints(job.folder / "weights")
    return audit


def _write(job: StageRun, evaluation: Evaluation, audit: Audit) -> None:
    write_predictions(job.folder / "predictions.parquet", evaluation.frame, evaluation.settings)
    write_json(job.folder / "audit.json", audit.to_dict())
    # Last, since it is the mark of a finished stage.
    write_json(
        job.folder / RECORD,
        {
            "stage": job.number,
            "metrics": evaluation.metrics,
            "per_class": evaluation.per_class,
            "audit": audit.to_dict(),
        },
    )
