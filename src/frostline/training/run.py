"""Training one run from Python: everything about it that is checked first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frostline.errors import InputError
from frostline.freezing import FreezePlan
from frostline.training.executing import execute
from frostline.training.record import Observer, Run
from frostline.training.settings import check_weight, resolve_settings
from frostline.training.spec import RunSpec, absolute, is_folder_name, plan_name
from frostline.training.tracking import Track, check_tracker


def train(
    model: str | Path,
    data: str | Path,
    plan: FreezePlan | None = None,
    *,
    weights: str | Path | None = None,
    teacher: str | Path | None = None,
    project: str | Path = "runs/train",
    name: str | None = None,
    seed: int = 0,
    device: str | None = None,
    preset: str | None = None,
    trust: bool = False,
    exact_resume: bool = False,
    observer: Observer | None = None,
    tag: str | None = None,
    track: str | None = None,
    **settings: Any,
) -> Run:
    """Train one run, or what is left of it.

    Args:
        model: checkpoint or model YAML, by path or official name (`yolo11s.pt` is downloaded if it is missing).
        data: data.yaml.
        plan: what to freeze; nothing by default.
        weights: checkpoint that a model YAML starts from; a classification one fits a detector's backbone.
        teacher: detector checkpoint that the model learns from beside the labels (distillation), in every stage.
        project: folder of run folders.
        name: the run folder; by default named after the plan, and `_distilled` where there is a teacher.
        seed: of every generator.
        device: `cpu`, `mps`, a GPU's number, or several that share every batch (`0,1`); by default the first GPU, else
            the CPU.
        preset: a named set of arguments, such as `log-chroma`.
        trust: open checkpoints without the restricted loader.
        exact_resume: keep what a resume needs to end with the very weights of an uninterrupted run.
        observer: told how it goes; by default the log.
        tag: stands in the summary line of a single stage; by default the name.
        track: `mlflow`, `tensorboard` or `wandb`: keep the run there, too, in an experiment called as `project` is.
        settings: any training argument of Ultralytics (`epochs=50, imgsz=1280`).

    Returns:
        The finished run.

    Raises:
        InputError: see `prepare` and `start.arithmetic_on`; a name that is not that of one folder; or the folder holds
            a run with other settings, or something else.
        AuditError: see the class.
        StoppedError: a full disk, vanished files, memory or a loss that is no number ended it.

    Example:
        >>> import frostline as fl
        >>> run = fl.train("yolo11s.pt", "data.yaml", fl.FreezePlan.first(3), epochs=50)  # doctest: +SKIP
        >>> run.map50  # doctest: +SKIP
    """
    plan = plan or FreezePlan.none()
    if name is not None and not is_folder_name(name):
        raise InputError(f"--name {name!r}: expected the name of one folder: letters, digits, '_', '-' and '.'")
    arm = plan_name(plan) + ("_distilled" if teacher is not None else "") if name is None else name
    resolved = resolve_settings(settings, preset)
    check_weight(resolved, taught=teacher is not None)
    spec = RunSpec(
        arm=arm,
        model=absolute(model),
        weights=absolute(weights) if weights is not None else None,
        data=absolute(data),
        plan=plan.with_epochs(int(resolved["epochs"])),
        settings=resolved,
        seed=seed,
        trust=trust,
        exact_resume=exact_resume,
        teacher=absolute(teacher) if teacher is not None else None,
    )
    tracker = check_tracker(track)
    kept = Track(tracker, Path(project).name or "frostline", arm) if tracker is not None else None
    return execute(spec, Path(project) / arm, device=device, observer=observer, tag=tag, track=kept)
