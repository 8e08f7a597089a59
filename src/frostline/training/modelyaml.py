"""Model YAML files: found by name, read, and what is wrong with one told in a line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frostline.errors import InputError, did_you_mean
from frostline.files import read_yaml

_SCALED = re.compile(r"^(.*\d)([a-z])(.*)$")


def read_model_yaml(name: str) -> dict[str, Any]:
    """Read a model YAML, and make sure that it lists layers.

    Args:
        name: a path, or a name that Ultralytics resolves (`yolo11s.yaml`: the file `yolo11.yaml` at scale s).

    Raises:
        InputError: there is no such file, it is not UTF-8 or not YAML, or it has no backbone and head.
    """
    from ultralytics.nn.tasks import yaml_model_load

    here = Path(name).is_file()
    if here and not isinstance(read_yaml(Path(name), "the model YAML"), dict):
        raise InputError(f"{name}: not a model YAML: expected keys such as nc, backbone and head")
    try:
        config = yaml_model_load(name)
    except Exception as error:
        if here:
            raise InputError(f"{name}: not a model YAML: {' '.join(str(error).split())[:150]}") from error
        raise InputError(f"{name}: no such model YAML, here or among those of Ultralytics{_nearest(name)}") from error
    for part in ("backbone", "head"):
        rows = config.get(part)
        if not isinstance(rows, list) or not rows or not all(isinstance(row, list) and len(row) == 4 for row in rows):
            raise InputError(f"{name}: not a model YAML: '{part}:' must list layers such as [-1, 1, Conv, [64, 3, 2]]")
    check_layers(config, name)
    return dict(config)


def check_layers(config: Mapping[str, Any], name: str | Path) -> None:
    """Make sure that building a model from its configuration runs nothing but layers.

    Ultralytics gives `activation:` to `eval`, and calls whatever a row names among all that its own module knows, such
    as what opens checkpoints.

    Args:
        config: of a model YAML, or as a checkpoint's model carries it.
        name: for messages.

    Raises:
        InputError: naming what is no layer.
    """
    activation = config.get("activation")
    if activation and not _is_activation(activation):
        raise InputError(f"{name}: 'activation: {activation}' is none; name a layer of torch, such as nn.SiLU()")
    for part in ("backbone", "head"):
        for row in config.get(part) or ():
            kind = row[2] if isinstance(row, list | tuple) and len(row) > 2 else None
            if not (isinstance(kind, type) or _is_layer(kind)):
                raise InputError(f"{name}: '{part}:' has '{kind}', which is no layer of torch or Ultralytics")


def _is_layer(kind: object) -> bool:
    from torch import nn
    from ultralytics.nn import tasks

    if not isinstance(kind, str):
        return False
    place: Any = tasks
    if kind.startswith("nn."):
        place = nn
    elif kind.startswith("torchvision.ops."):
        import torchvision  # only here: it brings torch's compiler along

        place = torchvision.ops
    key = kind if place is tasks else kind.removeprefix("nn.").removeprefix("torchvision.ops.")
    found = getattr(place, key, None)
    return isinstance(found, type) and issubclass(found, nn.Module) and not issubclass(found, tasks.BaseModel)


def _is_activation(text: object) -> bool:
    """Tell whether a text is a layer of torch with constants as arguments: `nn.LeakyReLU(0.1)`."""
    try:
        call = ast.parse(str(text).strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(text, str):
            return False
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            ast.literal_eval(argument)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return False
    named = ast.unparse(call.func)
    return re.fullmatch(r"(torch\.)?nn\.\w+", named) is not None and _is_layer(named.removeprefix("torch."))


@contextmanager
def building(name: str | Path) -> Iterator[None]:
    """Turn what goes wrong while a model is built from a YAML into one line.

    Raises:
        InputError: naming the YAML and what it says wrongly.
    """
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{name}: cannot build a model from this YAML: there is no module or key {error}") from error
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise InputError(f"{name}: cannot build a model from this YAML: {lines[0][:200]}") from error


def _nearest(name: str) -> str:
    """Say which scales a model has, or which of Ultralytics' names is nearest."""
    shipped = _shipped()
    scaled = _SCALED.match(Path(name).stem)
    if scaled and scaled[2] not in (scales := shipped.get(scaled[1] + scaled[3], scaled[2])):
        return f"; {scaled[1]}{scaled[3]} has the scales {', '.join(scales)}, not {scaled[2]}"
    names = list(shipped)
    for stem, scales in shipped.items():
        parts = re.match(r"^(\D*\d+)(.*)$", stem)
        names += [f"{parts[1]}{scale}{parts[2]}" for scale in scales] if parts else []
    return did_you_mean(Path(name).stem, names).replace("'?", ".yaml'?")


def _shipped() -> dict[str, tuple[str, ...]]:
    """Return the model YAMLs of Ultralytics by stem, each with its scales."""
    from ultralytics.utils import ROOT

    found = {}
    for path in sorted((ROOT / "cfg" / "models").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        found[path.stem] = tuple(re.findall(r"^  ([a-z]): \[", text, re.MULTILINE)) if "\nscales:" in text else ()
    return found
