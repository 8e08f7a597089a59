"""The model to predict with: found, opened, and what the run that made it says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultralytics.nn.tasks import load_checkpoint

from frostline.datasets import EIGHT_BITS, PixelFormat
from frostline.errors import InputError
from frostline.files import read_json, read_yaml
from frostline.freezing import find_layers
from frostline.training.checkpoints import locate_model, open_checkpoint
from frostline.training.machine import hushed
from frostline.training.record import RECORD


@dataclass(frozen=True)
class RunFacts:
    """What the folder around a checkpoint tells.

    Attributes:
        pixels: what it was trained on; None where nothing tells.
        imgsz: of the training, or None.
    """

    pixels: PixelFormat | None = None
    imgsz: int | None = None


def find_weights(model: str | Path) -> Path:
    """Return the checkpoint that is meant: a file, or the best weights of a run folder.

    Raises:
        InputError: see `locate_model`; or a folder without weights, or a model YAML.
    """
    path = Path(model)
    if path.is_dir():
        best = path / "weights" / "best.pt"
        if not best.is_file():
            raise InputError(f"{path}: has no weights/best.pt; give the folder of a finished run, or a checkpoint")
        return best
    located = locate_model(model)
    if not located.endswith(".pt"):
        raise InputError(f"{model}: a model YAML has no weights; give a checkpoint (.pt) or a run folder")
    return Path(located)


def run_facts(weights: Path) -> RunFacts:
    """Read what a run recorded beside its checkpoint.

    Looked for are `run.json` and, of plain Ultralytics, `args.yaml`: beside the file, in the folder above `weights/`,
    and above the folder of a stage. Without `run.json` an Ultralytics run has seen 8 bits, as it knows nothing else.

    Args:
        weights: a checkpoint.
    """
    here = weights.absolute().parent
    folders = [here, here.parent] if here.name == "weights" else [here]
    if folders[-1].name.startswith("stage"):
        folders.append(folders[-1].parent)
    for folder in folders:
        try:
            record = read_json(folder / RECORD)
            pixels = record.get("pixels")
            return RunFacts(None if pixels is None else PixelFormat.from_dict(pixels), _whole(record.get("imgsz")))
        except (OSError, ValueError, TypeError, AttributeError):
            continue
    for folder in folders:
        file = folder / "args.yaml"
        arguments = read_yaml(file, "the run's arguments") if file.is_file() else None
        if isinstance(arguments, dict):
            return RunFacts(EIGHT_BITS, _whole(arguments.get("imgsz")))
    return RunFacts()


def open_detector(weights: Path, trust: bool) -> tuple[Any, int | None]:
    """Open a detector as Ultralytics does, once the restricted loader has found nothing in it that could run code."""
    with hushed():
        head = type(find_layers(open_checkpoint(weights, trust))[-1]).__name__
        if head not in {"Detect", "v10Detect"}:
            raise InputError(f"{weights}: not a detection model that predicts here (its head is {head})")
        network, checkpoint = load_checkpoint(str(weights))
    channels = network.yaml.get("channels", 3)
    if channels != 3:
        raise InputError(f"{weights}: takes images of {channels} channels; those read here have 3")
    return network, _whole((checkpoint.get("train_args") or {}).get("imgsz"))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
