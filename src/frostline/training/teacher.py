"""Distillation: the teacher opened and checked before a run, and proven untouched after it; the student found within.

The loss is Ultralytics' own (`ultralytics.nn.distill_model`): while it trains, its wrapper holds the student, the
teacher and projectors that bring the student's features to the teacher's width.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn
from ultralytics.utils.torch_utils import unwrap_model

from frostline.errors import InputError
from frostline.freezing import AuditCheck, Freeze, Stage, find_layers
from frostline.training.checkpoints import locate_model, open_checkpoint

UNTOUCHED = "the teacher is untouched"


def student_of(model: Any) -> Any:
    """Return the detector itself: the student of Ultralytics' distillation wrapper, or the unwrapped model."""
    inner = unwrap_model(model)
    return getattr(inner, "student_model", inner)


def teacher_of(model: Any) -> nn.Module | None:
    """Return the teacher that a model in training holds, or None."""
    return getattr(unwrap_model(model), "teacher_model", None)


def projectors_of(model: Any) -> dict[str, nn.Parameter]:
    """Return the parameters that distillation trains beside the student, by name; none without a teacher."""
    projector = getattr(unwrap_model(model), "projector", None)
    return {f"projector.{name}": p for name, p in projector.named_parameters()} if projector is not None else {}


def exact_fingerprint(module: nn.Module) -> str:
    """Return a SHA-256 of a module's every weight and buffer by name, bit for bit."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_untouched(before: str, after: str, note: str = "") -> AuditCheck:
    """Compare the teacher's fingerprints from before training and from after it.

    Args:
        before: of the checkpoint, before the run.
        after: of the teacher that the student was trained with.
        note: added to what the audit says.
    """
    found = "are bitwise those of the checkpoint" if before == after else "differ from the checkpoint's"
    return AuditCheck(UNTOUCHED, before == after, f"its weights and statistics {found}{note}")


def open_teacher(teacher: str, student: nn.Module, name: str, trust: bool = False) -> str:
    """Open a teacher, safely, and make sure that a student can learn from it.

    Args:
        teacher: checkpoint, by path or official name.
        student: the detector that will learn.
        name: the student's name, for messages.
        trust: see `open_checkpoint`.

    Returns:
        Its fingerprint; see `exact_fingerprint`.

    Raises:
        InputError: missing, unsafe, not a checkpoint, not a detector, or a detector with other feature levels.
    """
    try:
        path = locate_model(teacher)
        if not path.endswith(".pt"):
            raise InputError(f"{teacher}: expected a checkpoint (.pt): a model YAML has learned nothing to pass on")
        module = open_checkpoint(path, trust)
        head: Any = find_layers(module)[-1]
        if type(head).__name__ not in {"Detect", "v10Detect"}:
            raise InputError(f"{teacher}: not a detector that can teach one (its head is {type(head).__name__})")
    except InputError as error:
        raise InputError(f"teacher: {error}") from error
    own: Any = find_layers(student)[-1]
    theirs, ours = (tuple(int(stride) for stride in one.stride) for one in (head, own))
    if theirs != ours:
        raise InputError(
            f"teacher: {teacher}: its feature levels have strides {_listed(theirs)}, and those of {name} "
            f"{_listed(ours)}: a student learns from a teacher with the same levels"
        )
    channels = [int(getattr(one, "yaml", {}).get("channels", 3)) for one in (module, student)]
    if channels[0] != channels[1]:
        raise InputError(f"teacher: {teacher}: takes {channels[0]} channels, and {name} takes {channels[1]}")
    return exact_fingerprint(module)


def _listed(strides: tuple[int, ...]) -> str:
    return ", ".join(map(str, strides))


def hears_nothing(stage: Stage, freeze: Freeze) -> bool:
    """Tell whether a stage leaves distillation nothing to change: it works on what the head takes.

    Args:
        stage: one stage of a plan.
        freeze: what it freezes at its start.
    """
    return stage.unfreeze is None and not any(index < freeze.total_layers - 1 for index in freeze.trainable_layers)


def distilling(student: nn.Module, teacher: str) -> nn.Module:
    """Put a student and its teacher into Ultralytics' wrapper, as its trainer does.

    Args:
        student: on its device, with its training arguments as `.args`.
        teacher: checkpoint, opened by `open_teacher` before.
    """
    from ultralytics.nn.distill_model import DistillationModel

    wrapper: nn.Module = DistillationModel(teacher_model=locate_model(teacher), student_model=student)
    return wrapper
