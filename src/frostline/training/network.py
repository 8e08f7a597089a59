"""The forward of a detector in training, made cheaper without changing the detector.

Only the class of the live model is exchanged, for one that is made for it; its tensors, its `state_dict` and what is
copied or pickled from it are Ultralytics' own. So an EMA or a checkpoint never holds a class of ours.
"""

from __future__ import annotations

import copyreg
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import nn

from frostline.freezing import find_layers
from frostline.training.arithmetic import Arithmetic
from frostline.training.features import FeatureStore
from frostline.training.folding import folded_copies
from frostline.training.trunk import Trunk, layer_keys


@dataclass
class Prefix:
    """The leading layers that are frozen whole, as they are now.

    Attributes:
        depth: how many.
        folded: copies of them to run in their place, or none.
        keys: what the trunk knows them by, or none where it is not shared.
    """

    depth: int = 0
    folded: list[nn.Module] = field(default_factory=list)
    keys: tuple[str, ...] = ()


class CheaperForward:
    """What goes before Ultralytics' own class of a detector; see `make_cheaper`."""

    plain: type[nn.Module]
    arithmetic: Arithmetic
    prefix: Prefix
    device_type: str
    features: FeatureStore | None
    trunk: Trunk | None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Let copies and pickles be of Ultralytics' class."""
        made: Any = super().__reduce_ex__(protocol)
        return copyreg._reconstructor, (self.plain, object, None), *made[2:]  # type: ignore[attr-defined]

    def _predict_once(self: Any, x: Any, profile: bool = False, embed: Any = None) -> Any:
        """Run the network; see `BaseModel._predict_once`, which this is in all but training."""
        if not self.training or profile or embed:
            return super()._predict_once(x, profile, embed)  # type: ignore[misc]
        keys = self.prefix.keys if self.features is None else ()  # one of the two, or layers count twice
        outputs: list[Any] = []
        if keys:
            x, outputs = self.trunk.start(keys, self.save, x)
        with self._autocast():
            if self.features is not None:
                x = self._from_store(x, outputs)
            for index, layer in islice(enumerate(self.model), len(outputs), None):
                x = self._layer(index, layer, take(layer.f, x, outputs))
                outputs.append(x if layer.i in self.save else None)
                if index < len(keys):
                    self.trunk.keep(keys[index], layer.i in self.save, x)
        return to_float32(x) if self.arithmetic.dtype is not None else x

    def _from_store(self: Any, x: Any, outputs: list[Any]) -> Any:
        """Append the outputs of the frozen prefix, from the store of features or computed and kept; return the last."""
        store, depth = self.features, self.prefix.depth
        if depth < store.least:
            return x
        known = store.load(depth)
        if known is not None:
            outputs.extend(known[index] if index in self.save else None for index in range(depth))
            return known[depth - 1].to(x.device)
        for index, layer in islice(enumerate(self.model), depth):
            x = self._layer(index, layer, take(layer.f, x, outputs))
            outputs.append(x if layer.i in self.save else None)
        kept = {index: value for index, value in enumerate(outputs) if value is not None} | {depth - 1: x}
        store.store(depth, kept)
        return x

    def _layer(self: Any, index: int, layer: nn.Module, x: Any) -> Any:
        prefix: Prefix = self.prefix
        if index >= prefix.depth:
            return self._run(index, layer, x)
        with torch.no_grad():
            return self._run(index, prefix.folded[index] if prefix.folded else layer, x)

    def _run(self: Any, index: int, layer: nn.Module, x: Any) -> Any:
        if index > 0 or not self.arithmetic.float32_first:
            return layer(x)
        with torch.autocast(self.device_type, enabled=False):
            return layer(x)

    def _autocast(self) -> Any:
        dtype = self.arithmetic.dtype
        return nullcontext() if dtype is None else torch.autocast(self.device_type, dtype=dtype)


def take(places: int | list[int], last: Any, outputs: list[Any]) -> Any:
    """Return what a layer takes: the last output for -1, else those of the layers that it names."""
    if isinstance(places, int):
        return last if places == -1 else outputs[places]
    return [last if place == -1 else outputs[place] for place in places]


def make_cheaper(model: nn.Module, arithmetic: Arithmetic, features: FeatureStore | None = None) -> None:
    """Exchange the class of a detector for one whose forward in training follows an arithmetic.

    Layers, hooks and the loss stay as they are: the network is autocast and nothing else, and what its head puts out
    is float32 before a box is decoded from it. (Decoded in bfloat16, boxes are off by half a pixel at 640 px.)
    """
    plain = type(model)
    device = next(model.parameters()).device
    own = {
        "plain": plain, "arithmetic": arithmetic, "prefix": Prefix(), "device_type": device.type, "trunk": None,
        "features": features,
        "__module__": plain.__module__, "__qualname__": plain.__qualname__, "__doc__": plain.__doc__,
    }  # fmt: skip
    model.__class__ = type(plain.__name__, (CheaperForward, plain), own)


def follow_freeze(model: Any) -> None:
    """Let a model made cheaper know what is frozen now. Call it whenever that changes, once flags and modes are set."""
    kind = type(model)
    if not issubclass(kind, CheaperForward):
        return
    known, arithmetic = kind.prefix, kind.arithmetic
    depth = frozen_prefix(model) if arithmetic.no_grad_prefix or arithmetic.fold_frozen else 0
    if depth == known.depth and (known.folded or not arithmetic.fold_frozen):
        return
    folded: list[nn.Module] = []
    layers = list(find_layers(model))[:depth]
    if arithmetic.fold_frozen:
        dtype = arithmetic.dtype
        wide = 1 if arithmetic.float32_first else 0
        folded = [*folded_copies(layers[:wide], None), *folded_copies(layers[wide:], dtype)]
    shared = kind.trunk is not None and arithmetic.no_grad_prefix
    kind.prefix = Prefix(depth, folded, layer_keys(layers, repr((arithmetic, kind.device_type))) if shared else ())
    if kind.trunk is not None:
        kind.trunk.follow(kind, kind.prefix.keys)


def share_trunk(model: nn.Module, trunk: Trunk | None) -> None:
    """Let a model made cheaper have what it freezes from now on in common with others, or nothing any longer."""
    kind = type(model)
    if not issubclass(kind, CheaperForward):
        return
    if kind.trunk is not None:
        kind.trunk.follow(kind, ())
    kind.trunk, kind.prefix = trunk, replace(kind.prefix, keys=())


def forget_prefix(model: nn.Module) -> None:
    """Drop what was made from the weights of the frozen layers, since other weights were loaded."""
    kind = type(model)
    if issubclass(kind, CheaperForward):
        kind.prefix = Prefix()
        if kind.features is not None:
            kind.features.forget()


def frozen_prefix(model: Any) -> int:
    """Count the leading layers that have nothing to train, down to the BatchNorms' statistics."""
    depth = 0
    for layer in find_layers(model):
        if any(parameter.requires_grad for parameter in layer.parameters()):
            break
        if any(module.training for module in layer.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)):
            break
        depth += 1
    return depth


def to_float32(values: Any) -> Any:
    """Return nested outputs of a head with every floating-point tensor in float32."""
    if isinstance(values, torch.Tensor):
        return values.float() if values.is_floating_point() else values
    if isinstance(values, dict):
        return {key: to_float32(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(to_float32(value) for value in values)
    return values
