"""Models from names, YAML and checkpoints: found, opened safely, built for a dataset, and what was loaded counted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from frostline.errors import InputError, did_you_mean
from frostline.freezing import LayerTable, find_layers, layer_table
from frostline.training.modelyaml import building, check_layers, read_model_yaml
from frostline.training.vetting import UnsafeCheckpointError, vet_checkpoint

FRESH = "frostline_fresh"
"""Attribute of a checkpoint's model: its parameters that are random still. Plain Ultralytics carries it along."""


@dataclass(frozen=True)
class Transfer:
    """What a model got from a checkpoint.

    Attributes:
        loaded: tensors (weights, biases, statistics) that came whole.
        total: tensors of the model.
        fresh: names, below the layer list, of parameters that did not come whole; a partly copied tensor is among them.
        source: the checkpoint, or None for a model without weights.
    """

    loaded: int
    total: int
    fresh: frozenset[str]
    source: str | None

    def describe(self) -> str:
        """Say in one line what was loaded."""
        if self.source is None:
            return f"no checkpoint: all {self.total} tensors are random"
        return (
            f"{self.loaded} of {self.total} tensors loaded from {self.source}; {len(self.fresh)} parameters are fresh"
        )


def locate_model(model: str | Path) -> str:
    """Find a model file, downloading an official checkpoint if that is what is named.

    Args:
        model: path or official name, `.pt` or `.yaml`; `yolo11s` without suffix means the checkpoint.

    Returns:
        A path (`.pt`) or a name that Ultralytics resolves (`.yaml`).

    Raises:
        InputError: no such file, and it cannot be downloaded.
    """
    from ultralytics.utils.checks import check_yolov5u_filename
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    text = str(model).strip()
    suffix = Path(text).suffix.lower()
    if not suffix and not Path(text).exists():
        text, suffix = f"{text}.pt", ".pt"
    if suffix in {".yaml", ".yml"}:
        read_model_yaml(text)
        return text
    if suffix != ".pt":
        raise InputError(f"{model}: expected a checkpoint (.pt) or a model YAML (.yaml)")
    read_as = check_yolov5u_filename(text, verbose=False)
    if read_as != text and Path(text).is_file():
        raise InputError(
            f"{model}: Ultralytics takes this name for {read_as}; rename the file, say {Path(text).stem}-mine.pt"
        )
    text = str(read_as)
    if Path(text).is_file():
        return text
    if Path(text).name != text or text not in GITHUB_ASSETS_NAMES:
        near = did_you_mean(text, GITHUB_ASSETS_NAMES) if Path(text).name == text else ""
        raise InputError(f"{model}: no such checkpoint{near}")
    try:
        found = attempt_download_asset(text)
    except Exception as error:
        raise InputError(f"{model}: not on this disk, and the download failed: {_first_line(error)}") from error
    if not Path(found).is_file():
        raise InputError(f"{model}: not on this disk, and the download failed; put the file here or give its path")
    return str(found)


def open_checkpoint(path: str | Path, trust: bool = False) -> nn.Module:
    """Open an Ultralytics checkpoint and return its model in float32.

    A checkpoint is a pickle and can run code. So it is looked through before anything in it is carried out, and opened
    with the restricted loader then: only what a model needs is allowed. Nothing is ever installed for it.

    Args:
        path: a `.pt` file.
        trust: skip both for a file that you made or trust.

    Raises:
        InputError: missing, empty, truncated, not a checkpoint, or one that names anything else.
    """
    checkpoint = read_checkpoint(path, trust)
    model = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(model, nn.Module):
        raise InputError(f"{path}: not an Ultralytics checkpoint (it holds no model)")
    if checkpoint.get("modelopt"):
        raise InputError(f"{path}: was quantized by NVIDIA ModelOpt, which Frostline does not install or use")
    if isinstance(config := getattr(model, "yaml", None), dict):  # models are built from it anew
        check_layers(config, path)
    return model.float()


def read_checkpoint(path: str | Path, trust: bool = False) -> dict[str, Any]:
    """Read everything in a checkpoint, as safely as `open_checkpoint`.

    Args:
        path: a `.pt` file.
        trust: see `open_checkpoint`.

    Raises:
        InputError: see `open_checkpoint`; an `UnsafeCheckpointError` where it could run code.
    """
    from ultralytics.nn.tasks import torch_safe_load
    from ultralytics.utils.checks import check_yolov5u_filename

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    read_as = check_yolov5u_filename(str(path).strip().replace("'", ""), verbose=False)  # see attempt_download_asset
    if str(read_as) != str(path):
        raise InputError(f"{path}: Ultralytics takes this name for {read_as}; rename the file or its folder")
    # The restricted loader takes archives alone; what was written before them is opened if every name in it is allowed.
    archive = False if trust else vet_checkpoint(path)
    try:
        checkpoint = _trusted(path) if trust else torch_safe_load(str(path), safe_only=archive)[0]
    except InputError:
        raise
    except Exception as error:
        if "outside the supported" in str(error) or isinstance(error, ModuleNotFoundError):
            raise UnsafeCheckpointError(
                f"{path}: names {_blocked(error)}, which a model does not need and could run code; pass "
                "--trust-checkpoint if you know where the file comes from"
            ) from error
        raise InputError(f"{path}: not a loadable checkpoint: {_first_line(error)}") from error
    if not isinstance(checkpoint, dict):
        raise InputError(f"{path}: not an Ultralytics checkpoint (it holds a {type(checkpoint).__name__})")
    return checkpoint


def _trusted(path: Path) -> Any:
    """Unpickle a checkpoint of which everything is believed; Ultralytics alone would install a module it names.

    Raises:
        InputError: it needs a module that is not here.
    """
    from ultralytics.nn.tasks import torch_safe_load

    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (ModuleNotFoundError, AttributeError) as error:
        name = error.name if isinstance(error, ModuleNotFoundError) and error.name else "ultralytics"
        if name.partition(".")[0] != "ultralytics":
            raise InputError(f"{path}: needs the module {name}, which is not installed; install it yourself") from error
    return torch_safe_load(str(path), safe_only=False)[0]  # it knows the names that its modules had before


def open_model(model: str | Path, trust: bool = False) -> nn.Module:
    """Open a model for looking at: a checkpoint with its weights, or a YAML with random ones.

    Raises:
        InputError: see `locate_model` and `open_checkpoint`.
    """
    located = locate_model(model)
    if located.endswith(".pt"):
        return open_checkpoint(located, trust)
    from ultralytics import RTDETR, YOLO

    wrapper = RTDETR if "RTDETRDecoder" in str(read_model_yaml(located)["head"]) else YOLO
    with building(model):
        module = wrapper(located).model
    assert isinstance(module, nn.Module)
    return module


def layers(model: str | Path, imgsz: int = 640, trust: bool = False) -> LayerTable:
    """Return the layer table of a model.

    Args:
        model: checkpoint or YAML, by path or official name.
        imgsz: side of the square input, pixels; rounded up to a multiple of the largest stride.
        trust: see `open_checkpoint`.

    Example:
        >>> table = layers("yolo11s.yaml")  # doctest: +SKIP
        >>> len(table), table.parameters  # doctest: +SKIP
        (24, 9458752)
    """
    module = open_model(model, trust)
    return layer_table(module, rounded_imgsz(imgsz, module)[0])


def rounded_imgsz(imgsz: int, module: nn.Module) -> tuple[int, str | None]:
    """Round an image size up to a multiple of a model's largest stride, as Ultralytics does when it trains.

    Returns:
        The size that is used, and a note for the user where it is another than was asked for.
    """
    stride = max(int(torch.as_tensor(getattr(module, "stride", 32)).max()), 32)
    fitting = math.ceil(imgsz / stride) * stride
    if fitting == imgsz:
        return imgsz, None
    return fitting, f"imgsz={imgsz} is no multiple of the model's stride {stride}: {fitting} is used"


def check_trainable(module: nn.Module, name: str | Path) -> None:
    """Make sure that a model is a detector that Frostline trains.

    Raises:
        InputError: another task (segmentation, classification, ...) or RT-DETR, which has a trainer of its own.
    """
    head = type(find_layers(module)[-1]).__name__
    if head == "RTDETRDecoder":
        raise InputError(
            f"{name}: RT-DETR cannot be trained here yet, Ultralytics trains it with another trainer; "
            "`frostline layers` shows it"
        )
    if head not in {"Detect", "v10Detect"}:
        raise InputError(f"{name}: not a detection model (its head is {head})")


def fresh_of(source: nn.Module) -> frozenset[str]:
    """Return the parameters of a checkpoint that never trained, by name below the layer list; few checkpoints say so.

    One that was pretrained from a model YAML does: its head came with the checkpoint, and is as random as before.
    """
    return frozenset(str(name) for name in getattr(source, FRESH, ()))


def count_transfer(module: nn.Module, source: nn.Module | None, name: str | None) -> Transfer:
    """Count what a model holds of a checkpoint's tensors, after they were loaded.

    A tensor came whole when it equals the checkpoint's of the same name, or holds the same values in another order (a
    classification branch whose classes were reordered by name). One that the checkpoint itself calls random did not.

    Args:
        module: the loaded model.
        source: the checkpoint's model, float32, or None.
        name: the checkpoint's name, for messages.
    """
    target = find_layers(module).state_dict()
    parameters = {key for key, _ in find_layers(module).named_parameters()}
    if source is None:
        return Transfer(0, len(target), frozenset(parameters), None)
    given = find_layers(source).float().state_dict()
    known = given.keys() - fresh_of(source)
    whole = {key for key, value in target.items() if key in known and _same_values(value, given[key])}
    return Transfer(len(whole), len(target), frozenset(parameters - whole), name)


def _same_values(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape:
        return False
    a, b = a.detach().cpu(), b.detach().cpu()
    return torch.equal(a, b) or (a.ndim > 0 and torch.equal(a.flatten().sort().values, b.flatten().sort().values))


def saved_tensors(path: Path, trust: bool = False) -> dict[str, torch.Tensor]:
    """Return a checkpoint's tensors by name below the layer list, as saved (half precision).

    Args:
        path: the checkpoint.
        trust: see `open_checkpoint`; for a file that this very process wrote.
    """
    checkpoint = read_checkpoint(path, trust)
    model = checkpoint.get("ema") or checkpoint["model"]
    # A checkpoint that was not stripped yet holds, with a teacher, the wrapper that the student is trained in.
    return dict(find_layers(getattr(model, "student_model", model)).state_dict())


def _blocked(error: BaseException) -> str:
    """Name what the restricted loader refused, from the errors that led to this one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return f"the module {cause.name}"
        if named := re.search(r"GLOBAL ([\w.]+)", str(cause)):
            return named[1]
        cause = cause.__cause__ or cause.__context__
    return "something"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
