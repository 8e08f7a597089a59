"""The model that a pretraining starts from, what it is after it, and which of its weights are still random."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from frostline.errors import InputError
from frostline.files import written_beside
from frostline.freezing import find_layers
from frostline.training.checkpoints import (
    FRESH,
    check_trainable,
    count_transfer,
    fresh_of,
    locate_model,
    open_checkpoint,
)
from frostline.training.machine import hushed
from frostline.training.modelyaml import building, read_model_yaml


class PretrainError(RuntimeError):
    """A pretraining that did not end as it should."""


@dataclass(frozen=True)
class Start:
    """A model to pretrain.

    Attributes:
        module: the detector, float32.
        fresh: names, below the layer list, of parameters that are random.
        digest: of what decides it: the checkpoint's content, or the YAML's and its weights'.
    """

    module: nn.Module
    fresh: frozenset[str]
    digest: str


def open_start(model: str, weights: str | None, seed: int, trust: bool) -> Start:
    """Open a checkpoint, or build a model YAML with its weights, as a run would.

    Args:
        model: checkpoint or model YAML.
        weights: checkpoint that a model YAML starts from.
        seed: of random weights.
        trust: see `open_checkpoint`.

    Raises:
        InputError: it cannot be opened or built, or is not a detector that is trained here.
    """
    located = locate_model(model)
    found = locate_model(weights) if weights is not None else None
    if located.endswith(".pt"):
        module = open_checkpoint(located, trust)
        check_trainable(module, model)
        if found is None:
            return Start(module, fresh_of(module), _file_digest(located))
        config: dict[str, Any] = dict(module.yaml)  # type: ignore[arg-type]
        # a run takes the architecture of the one, the tensors of the other
    else:
        config = read_model_yaml(located)
    module = _built(config, model, seed)
    given = open_checkpoint(found, trust) if found is not None else None
    if given is not None:
        with hushed():
            module.load(given, verbose=False)
    transfer = count_transfer(module, given, weights)
    if given is not None and not transfer.loaded:
        raise InputError(f"{weights}: not one tensor fits {model}; are they of the same family and size?")
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
    return Start(module, transfer.fresh, f"{digest}+{_file_digest(found)}" if found is not None else digest)


def _built(config: dict[str, Any], name: str, seed: int) -> Any:
    from ultralytics.nn.tasks import DetectionModel

    if "RTDETRDecoder" in str(config.get("head")):
        raise InputError(f"{name}: RT-DETR cannot be trained here yet, Ultralytics trains it with another trainer")
    with hushed(), building(name), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = DetectionModel(copy.deepcopy(config), ch=3, verbose=False)
    check_trainable(module, name)
    return module


def save_start(start: Start, path: Path) -> None:
    """Save the model for the process that pretrains: full precision, and nothing of it frozen."""
    _save(start.module, path)


def finish(start: Start, trained: dict[str, torch.Tensor], path: Path) -> dict[str, Any]:
    """Put pretrained tensors into the model, save it as a checkpoint of Ultralytics, and count what changed.

    The checkpoint is in half precision, as those of Ultralytics are. Names of parameters that are still random go with
    it (see `checkpoints.fresh_of`), so that a run does not take them for pretrained.

    Args:
        start: what the pretraining started from.
        trained: its tensors by name below the layer list.
        path: of the checkpoint.

    Returns:
        `tensors`, `changed`, `changed_layers` and `fresh`, for the record.

    Raises:
        PretrainError: it is another architecture, holds values that are not finite, or nothing changed.
    """
    module = copy.deepcopy(start.module)
    layers = find_layers(module)
    before = {name: value.clone() for name, value in layers.state_dict().items()}
    shapes = {name: tuple(value.shape) for name, value in before.items()}
    if {name: tuple(value.shape) for name, value in trained.items()} != shapes:
        raise PretrainError("lightly-train gave back another architecture than it was given; nothing is kept")
    changed = [name for name, value in trained.items() if not torch.equal(value.to(before[name].dtype), before[name])]
    broken = [name for name in changed if not bool(torch.isfinite(trained[name].half()).all())]
    if broken:
        raise PretrainError(f"weights are not finite after pretraining ({broken[0]}); try a lower learning rate")
    if not changed:
        raise PretrainError("pretraining changed no tensor; nothing is kept")
    layers.load_state_dict(trained)
    fresh = tuple(sorted(start.fresh - set(changed)))
    setattr(module, FRESH, fresh)
    _save(module.half(), path)
    return {
        "tensors": len(before),
        "changed": len(changed),
        "changed_layers": sorted({int(name.split(".", 1)[0]) for name in changed}),
        "fresh": list(fresh),
    }


def _save(module: nn.Module, path: Path) -> None:
    import ultralytics

    # Not the checkpoint's own: lightly-train reads `freeze` there, and would not train what an earlier run froze.
    module.args = {}  # type: ignore[assignment]
    checkpoint = {
        "epoch": -1,
        "best_fitness": None,
        "model": module,
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": {"task": "detect"},
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "version": ultralytics.__version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
    }
    with written_beside(path) as beside:
        torch.save(checkpoint, beside)


def _file_digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
