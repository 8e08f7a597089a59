"""What a checkpoint may name: the tensors' own functions, layers, a few plain values. Names, never whole modules."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import import_module
from typing import Any

from torch import nn

from frostline.training.pickled import Made, Named, RefusedNameError

_CALLED = frozenset((
    "collections.OrderedDict",
    "builtins.set", "__builtin__.set", "builtins.frozenset", "__builtin__.frozenset",
    "builtins.complex", "__builtin__.complex", "builtins.bytearray", "__builtin__.bytearray",
    "builtins.slice", "__builtin__.slice",
    "torch.Size", "torch.device",
    "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torchvision.transforms.functional.InterpolationMode",
    "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath",
    "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
))  # fmt: skip
"""Functions and types that may be called with any arguments: none of them reads, imports or runs what it is given."""

_CALLED_WITH_CARE = frozenset((
    "builtins.getattr", "__builtin__.getattr", "_codecs.encode",
    "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
))  # fmt: skip

_BUILT = frozenset((
    "collections.OrderedDict",
    "types.SimpleNamespace",
    "ultralytics.utils.IterableSimpleNamespace", "ultralytics.yolo.utils.IterableSimpleNamespace",
    "ultralytics.nn.distill_model.FeatureHook",
    "torchvision.transforms.transforms.Compose", "torchvision.transforms.transforms.Normalize",
    "torchvision.transforms.transforms.Resize", "torchvision.transforms.transforms.CenterCrop",
    "torchvision.transforms.transforms.ToTensor",
))  # fmt: skip
"""Classes that may be made empty and given attributes."""

_RENAMED = frozenset((
    "ultralytics.nn.modules.block.Silence", "ultralytics.nn.tasks.YOLOv10DetectionModel",
    "ultralytics.utils.loss.v10DetectLoss",
))  # fmt: skip
"""Classes of older releases, which Ultralytics maps to today's."""

_NAMED = frozenset(
    f"torch.{kind}"
    for kind in (
        *(
            f"{kind}Storage"
            for kind in (
                "Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool", "ComplexFloat",
                "ComplexDouble",
            )
        ),
        "storage.UntypedStorage", "storage.TypedStorage", "float16", "float32", "float64", "bfloat16", "uint8", "int8",
        "int16", "int32", "int64", "bool", "half", "float", "double", "long", "int", "short",
    )
)  # fmt: skip
"""Types of storages and numbers: looked up, never called."""

_LAYERS = re.compile(
    r"(torch\.nn\.modules|ultralytics\.nn\.modules)(\.[a-z0-9_]+)?|ultralytics\.nn\.(tasks|distill_model)"
)
_PLAIN = frozenset(("ultralytics.utils.loss", "ultralytics.utils.tal"))
_PLAIN_DTYPE = re.compile(r"[<>=|]?([fiu][1248]|b1|c8|c16)")


def check(how: str, named: Named, arguments: Any) -> None:
    """Allow what a checkpoint of a model needs; see `pickled.Check`.

    Args:
        how: `named`, `called` or `built`.
        named: what it is about.
        arguments: symbols of them.

    Raises:
        RefusedNameError: for anything else, with its name.
    """
    name = str(named)
    if how == "named":
        if name in _CALLED or name in _CALLED_WITH_CARE or name in _NAMED or _may_be_built(named):
            return
    elif how == "built":
        if _may_be_built(named) and not arguments:
            return
    elif name in _CALLED or (name in _BUILT and not arguments) or _harmless(name, arguments):
        return
    raise RefusedNameError(f"{'names' if how == 'named' else 'calls'} {name}")


def _harmless(name: str, arguments: tuple[Any, ...]) -> bool:
    if name not in _CALLED_WITH_CARE:
        return False
    if name.endswith("getattr"):  # a method of a layer or a member of an enumeration, kept as an attribute
        if len(arguments) != 2:
            return False
        owner, attribute = arguments
        layer = isinstance(owner, Named) and _is_layer(owner.module, owner.name) and attribute in _METHODS
        mode = isinstance(owner, Named) and str(owner) == "torchvision.transforms.functional.InterpolationMode"
        bound = isinstance(owner, Made) and attribute in _METHODS and _is_layer(*owner.by.rpartition(".")[::2])
        return bool(layer or bound or (mode and isinstance(attribute, str) and attribute.isupper()))
    if name == "_codecs.encode":
        return len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] in ("latin1", "latin-1")
    if name == "numpy.dtype":
        return bool(arguments) and isinstance(arguments[0], str) and _PLAIN_DTYPE.fullmatch(arguments[0]) is not None
    kind = arguments[0] if arguments else None  # a scalar: of a dtype that passed, and bytes
    return isinstance(kind, Made) and kind.by == "numpy.dtype"


_METHODS = ("forward", "forward_fuse", "forward_split", "forward_end2end")


def _may_be_built(named: Named) -> bool:
    return str(named) in _BUILT or str(named) in _RENAMED or _is_layer(named.module, named.name)


@cache
def _is_layer(module: str, name: str) -> bool:
    """Tell whether a name is a layer, a model or a loss: a class that stands in one of their modules itself."""
    layers = _LAYERS.fullmatch(module) is not None
    if not (layers or module in _PLAIN) or not name.isidentifier() or name.startswith("_"):
        return False
    try:
        found = getattr(sys.modules.get(module) or import_module(module), name, None)
    except ImportError:
        return False
    if not isinstance(found, type):
        return False
    return issubclass(found, nn.Module) if layers else found.__module__ == module
