"""A stage carried out on a model: which tensors freeze, which stay trainable and why, and BatchNorms held in eval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from frostline.errors import InputError
from frostline.freezing.frozen import Freeze
from frostline.freezing.layers import find_layers, is_fixed
from frostline.freezing.selecting import select
from frostline.freezing.selectors import Selection
from frostline.freezing.stage import Stage

BatchNorm = nn.modules.batchnorm._BatchNorm


def resolve_freeze(model: Any, stage: Stage, fresh: Iterable[str] = (), freeze_fresh: bool = False) -> Freeze:
    """Work out what a stage freezes, without touching the model.

    Args:
        model: see `find_layers`.
        stage: its selector is resolved against the model.
        fresh: names (below the layer list) of tensors that did not come from a checkpoint whole.
        freeze_fresh: freeze those too.

    Raises:
        InputError: the selector is wrong for this model, everything would be frozen, or the model has no weights from
            a checkpoint and would freeze random ones.
    """
    freeze = freeze_selection(model, frozen_selection(model, stage), fresh, freeze_fresh)
    candidates = len(freeze.frozen) + len(freeze.kept_fresh)
    if candidates and len(freeze.trainable) == len(freeze.kept_fresh):
        raise InputError(
            f"'{stage.selector}' freezes everything: the model has layers 0 to {freeze.total_layers - 1}; "
            "leave at least one to train"
        )
    if stage.freeze not in (None, "none") and not candidates:
        raise InputError(f"'{stage.selector}' freezes nothing: what it picks has no weights that would train")
    if candidates and not freeze.frozen:
        raise InputError(
            f"'{stage.selector}' would freeze random weights: none of those {candidates} tensors came from a "
            "checkpoint; start from a checkpoint (a .pt model, or --weights), or insist with --freeze-fresh"
        )
    return freeze


def freeze_selection(model: Any, picked: Selection, fresh: Iterable[str] = (), freeze_fresh: bool = False) -> Freeze:
    """Work out what freezing a selection means, tensor by tensor; anything goes. See `resolve_freeze`."""
    layers = find_layers(model)
    sizes = {name: parameter.numel() for name, parameter in layers.named_parameters()}
    names = list(sizes)
    fixed = [name for name in names if is_fixed(name)]
    fresh = frozenset(fresh)
    candidates = [name for name in names if name in picked and not is_fixed(name)]
    kept = [] if freeze_fresh else [name for name in candidates if name in fresh]
    held = set(candidates) - set(kept)
    frozen = [name for name in names if name in held]
    trainable = [name for name in names if name not in held and not is_fixed(name)]
    return Freeze(
        selected_layers=picked.layers,
        total_layers=len(layers),
        frozen=tuple(frozen),
        trainable=tuple(trainable),
        fixed=tuple(fixed),
        kept_fresh=tuple(kept),
        batchnorms=tuple(_held_batchnorms(layers, picked, held)),
        frozen_count=sum(sizes[name] for name in frozen),
        trainable_count=sum(sizes[name] for name in trainable),
        fixed_count=sum(sizes[name] for name in fixed),
    )


def frozen_selection(model: Any, stage: Stage) -> Selection:
    """Return what a stage picks to be frozen, from the layers that it lists or from those that it lets train."""
    layers = find_layers(model)
    if stage.train_only is None:
        return select(stage.freeze or "none", model)
    train = select(stage.train_only, model)
    inside = {int(module.split(".", 1)[0]) for module in train.modules}
    rest = tuple(i for i in range(len(layers)) if i not in train.layers and i not in inside)
    modules = []
    for index in sorted(inside):
        # Leaves are enough: a parameter belongs to exactly one module that owns it directly.
        for name, module in layers[index].named_modules():
            full = f"{index}.{name}" if name else str(index)
            if name and full not in train and next(module.parameters(recurse=False), None) is not None:
                modules.append(full)
    return Selection(rest, tuple(modules))


def _held_batchnorms(layers: nn.Sequential, picked: Selection, frozen: set[str]) -> list[str]:
    """A BatchNorm is held when it is picked and none of its own tensors was kept trainable."""
    held = []
    for name, module in layers.named_modules():
        if isinstance(module, BatchNorm) and name and name in picked:
            own = [f"{name}.{part}" for part, _ in module.named_parameters(recurse=False)]
            if all(part in frozen for part in own):
                held.append(name)
    return held


def apply_freeze(model: Any, freeze: Freeze) -> None:
    """Set `requires_grad` of every parameter as `freeze` says, drop gradients of frozen ones, hold BatchNorms.

    A stale gradient would move a tensor once more after it was frozen, so it is dropped here.

    Args:
        model: see `find_layers`.
        freeze: what `resolve_freeze` returned for this model.
    """
    frozen = set(freeze.frozen) | set(freeze.fixed)
    for name, parameter in find_layers(model).named_parameters():
        parameter.requires_grad_(name not in frozen)
        if name in frozen:
            parameter.grad = None
    put_batchnorms_in_eval(model, freeze)


def put_batchnorms_in_eval(model: Any, freeze: Freeze) -> None:
    """Put the BatchNorms of the frozen layers, and only those, in eval mode. Call it after every `model.train()`."""
    layers = find_layers(model)
    for name in freeze.batchnorms:
        layers.get_submodule(name).eval()


def hold_batchnorms(model: Any, freeze: Freeze) -> list[RemovableHandle]:
    """Keep the frozen BatchNorms in eval mode through every later `train()` call, for training loops of one's own.

    A forward pre-hook on each puts it back before it can update its statistics. Remove the handles before the model is
    pickled. Frostline's own trainer needs no hooks.

    Returns:
        One handle for each BatchNorm; `handle.remove()` ends the hold.
    """
    layers = find_layers(model)
    return [layers.get_submodule(name).register_forward_pre_hook(_eval_before_forward) for name in freeze.batchnorms]


def _eval_before_forward(module: nn.Module, _inputs: Any) -> None:
    module.training = False
