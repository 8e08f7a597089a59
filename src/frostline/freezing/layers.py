"""The layers of a model as they are: found, named by role, measured. Nothing about any model is stored here."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from frostline.errors import InputError
from frostline.freezing.tracing import trace

Role = Literal["backbone", "neck", "head"]

FIXED_MODULES = frozenset({"dfl"})
"""Modules whose weights are constants: the integral of the distribution focal loss (Li et al., NeurIPS 2020)."""


@dataclass(frozen=True)
class Layer:
    """One entry of a detector's layer list.

    Attributes:
        index: position, from 0.
        type: class name of the module.
        role: backbone, neck or head.
        parameters: number of weights and biases, fixed ones included.
        fixed_parameters: those that never train by design (DFL).
        batchnorms: number of BatchNorm modules.
        shape: output (channels, height, width), or None where a layer returns no single feature map.
        stride: input pixels for each output pixel, or None.
        flops: floating-point operations of one forward pass of one image (a multiply-add counts as two).
        parameters_cumulative: share of the model's parameters in layers 0 to this one, 0 to 1.
        flops_cumulative: the same share of the forward operations.
    """

    index: int
    type: str
    role: Role
    parameters: int
    fixed_parameters: int
    batchnorms: int
    shape: tuple[int, ...] | None
    stride: float | None
    flops: int
    parameters_cumulative: float
    flops_cumulative: float


@dataclass(frozen=True)
class LayerTable:
    """Every layer of a model for one image size.

    Attributes:
        layers: one `Layer` for each entry, in order.
        imgsz: side of the square input, pixels.
    """

    layers: tuple[Layer, ...]
    imgsz: int

    @property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        """Forward operations of the whole model for one image."""
        return sum(layer.flops for layer in self.layers)

    @property
    def batchnorms(self) -> int:
        """BatchNorm modules of the whole model."""
        return sum(layer.batchnorms for layer in self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return `{"imgsz", "layers": [...], "totals": {...}}`, ready for JSON."""
        roles = {role: [x.index for x in self.layers if x.role == role] for role in ("backbone", "neck", "head")}
        return {
            "imgsz": self.imgsz,
            "layers": [asdict(layer) for layer in self.layers],
            "totals": {
                "layers": len(self.layers),
                "parameters": self.parameters,
                "batchnorms": self.batchnorms,
                "flops": self.flops,
                "roles": roles,
            },
        }


def find_layers(model: Any) -> nn.Sequential:
    """Return the `nn.Sequential` that holds a model's layers.

    Args:
        model: an `nn.Sequential`, a model that keeps its layers in `.model` (as `DetectionModel` does), or a wrapper
            around such a model (as `YOLO` is).

    Raises:
        InputError: no list of layers is found. It is never guessed from `children()`: that guess freezes nothing.
    """
    if isinstance(model, nn.Sequential):
        return model
    inner = getattr(model, "model", None)
    if inner is None or isinstance(inner, str) or inner is model:
        raise InputError(
            f"{type(model).__name__} has no list of layers: expected an nn.Sequential, itself or as .model"
        )
    return find_layers(inner)


def owner_of_layers(model: Any) -> Any:
    """Return the module that holds the layer list itself (for an `nn.Sequential`: itself)."""
    while not isinstance(model, nn.Sequential) and not isinstance(getattr(model, "model", None), nn.Sequential):
        inner = getattr(model, "model", None)
        if inner is None or isinstance(inner, str):
            find_layers(model)  # raises with the reason
        model = inner
    return model


def layer_roles(model: Any) -> tuple[Role, ...]:
    """Return the role of each layer.

    The backbone is what the model's own `yaml` lists as such, the head is the last layer, the neck all between. A
    model without `yaml` has a backbone and, as its last layer, a head.
    """
    count = len(find_layers(model))
    yaml = getattr(owner_of_layers(model), "yaml", None)
    backbone = len(yaml["backbone"]) if isinstance(yaml, dict) and "backbone" in yaml else count - 1
    return tuple("head" if i == count - 1 else "backbone" if i < backbone else "neck" for i in range(count))


def is_fixed(name: str) -> bool:
    """Tell whether a parameter never trains by design, from its dotted name (`23.dfl.conv.weight`)."""
    return any(part in FIXED_MODULES for part in name.split("."))


def layer_table(model: Any, imgsz: int = 640) -> LayerTable:
    """Measure every layer of a model for an image size.

    Shapes and operations come from one forward pass on torch's meta device: nothing is computed, so it is quick and
    needs no memory, whatever the size. Operations are counted by the formulas of `torch.utils.flop_counter`.

    Args:
        model: see `find_layers`.
        imgsz: side of the square three-channel input, pixels; a multiple of the largest stride.

    Raises:
        InputError: the model has no list of layers, or cannot run at this size.
    """
    layers = find_layers(model)
    roles = layer_roles(model)
    shapes, flops = _trace(model, imgsz)
    total_parameters = max(sum(p.numel() for p in layers.parameters()), 1)
    total_flops = max(sum(flops), 1)
    rows, parameters_so_far, flops_so_far = [], 0, 0
    for index, module in enumerate(layers):
        parameters = sum(p.numel() for p in module.parameters())
        parameters_so_far += parameters
        flops_so_far += flops[index]
        shape = shapes[index]
        rows.append(
            Layer(
                index=index,
                type=type(module).__name__,
                role=roles[index],
                parameters=parameters,
                fixed_parameters=sum(p.numel() for n, p in module.named_parameters() if is_fixed(n)),
                batchnorms=sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules()),
                shape=shape,
                stride=imgsz / shape[1] if shape and len(shape) == 3 and shape[1] else None,
                flops=flops[index],
                parameters_cumulative=parameters_so_far / total_parameters,
                flops_cumulative=flops_so_far / total_flops,
            )
        )
    return LayerTable(tuple(rows), imgsz)


def _trace(model: Any, imgsz: int) -> tuple[list[tuple[int, ...] | None], list[int]]:
    """Run a copy on the meta device; return each layer's output shape and operations."""
    shadow = copy.deepcopy(owner_of_layers(model)).to("meta").eval()
    layers = find_layers(shadow)
    # A detection head in eval mode decodes boxes with values, which a meta tensor does not have.
    layers[-1].train()
    for module in layers[-1].modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    try:
        return trace(shadow, layers, torch.zeros(1, 3, imgsz, imgsz, device="meta"))
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"the model cannot run on a {imgsz} x {imgsz} image: {error}") from error
