"""The helper names of the reference scripts, doing what they say.

In those scripts they looked for an `nn.ModuleList`, found none, and froze a list of one. Here they find the layers or
fail. They set a model's state once: a trainer that resets `requires_grad` or calls `train()` undoes it, which is why
`frostline train` carries a plan out itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from frostline.errors import InputError
from frostline.freezing.apply import BatchNorm, apply_freeze, resolve_freeze
from frostline.freezing.layers import find_layers
from frostline.freezing.selectors import first
from frostline.freezing.stage import Stage


def set_trainable_first_n_layers(yolo_model: Any, n: int) -> list[int]:
    """Let the first `n` layers train and freeze the rest, its BatchNorms in eval mode.

    Args:
        yolo_model: a `YOLO`, its `DetectionModel`, or an `nn.Sequential`.
        n: 1 to the number of layers.

    Returns:
        Indices of the frozen layers.

    Raises:
        InputError: `n` is out of range, or the model has no list of layers.
    """
    total = len(find_layers(yolo_model))
    if n == 0:
        raise InputError("training the first 0 layers leaves nothing trainable")
    return _apply(yolo_model, Stage(train_only=first(n, total)))


def set_frozen_first_n_layers(yolo_model: Any, n: int) -> list[int]:
    """Freeze the first `n` layers, their BatchNorms in eval mode, and let the rest train.

    Args:
        yolo_model: a `YOLO`, its `DetectionModel`, or an `nn.Sequential`.
        n: 0 to one below the number of layers.

    Returns:
        Indices of the frozen layers.

    Raises:
        InputError: `n` is out of range or freezes everything, or the model has no list of layers.
    """
    return _apply(yolo_model, Stage(freeze=first(n, len(find_layers(yolo_model)))))


def _apply(model: Any, stage: Stage) -> list[int]:
    # The names come without a checkpoint's history, so nothing is known to be fresh.
    freeze = resolve_freeze(model, stage)
    for module in find_layers(model).modules():
        if isinstance(module, BatchNorm):
            module.train()
    apply_freeze(model, freeze)
    return list(freeze.selected_layers)


def set_eval_for_frozen_layers(yolo_model: Any, freeze_indices: Iterable[int]) -> int:
    """Put every BatchNorm of the given layers in eval mode, so that running statistics stay put.

    Args:
        yolo_model: a `YOLO`, its `DetectionModel`, or an `nn.Sequential`.
        freeze_indices: layer indices.

    Returns:
        Number of BatchNorms put in eval mode.

    Raises:
        InputError: an index is out of range.
    """
    layers = find_layers(yolo_model)
    count = 0
    for index in freeze_indices:
        if not 0 <= index < len(layers):
            raise InputError(f"no layer {index}; the model has layers 0 to {len(layers) - 1}")
        for module in layers[index].modules():
            if isinstance(module, BatchNorm):
                module.eval()
                count += 1
    return count


def trainable_and_bn(model: Any) -> dict[str, int]:
    """Count trainable and frozen parameters, and BatchNorms by mode.

    Returns:
        `trainable_params`, `frozen_params`, `bn_total`, `bn_eval`, `bn_train`.
    """
    layers = find_layers(model)
    parameters = list(layers.parameters())
    batchnorms = [m for m in layers.modules() if isinstance(m, BatchNorm)]
    evaluating = sum(not m.training for m in batchnorms)
    return {
        "trainable_params": sum(p.numel() for p in parameters if p.requires_grad),
        "frozen_params": sum(p.numel() for p in parameters if not p.requires_grad),
        "bn_total": len(batchnorms),
        "bn_eval": evaluating,
        "bn_train": len(batchnorms) - evaluating,
    }


def summarize_trainable_and_bn(model: Any, tag: str) -> dict[str, int]:
    """Print `[tag] trainable_params=... frozen_params=... bn_total=... bn_eval=... bn_train=...`; return the counts."""
    counts = trainable_and_bn(model)
    line = " ".join(f"{key}={value}" for key, value in counts.items())
    print(f"[{tag}] {line}")  # noqa: T201 (the reference prints, and its readers grep for this line)
    return counts
