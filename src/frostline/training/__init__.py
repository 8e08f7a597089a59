"""One run: Ultralytics carrying out a freeze plan, stage by stage, what is measured of it, and what it predicts."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# Read by Ultralytics when it is imported: neither a checkpoint nor an odd image file may install a package.
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

from frostline.training.checkpoints import Transfer, layers, locate_model, open_checkpoint, open_model
from frostline.training.machine import choose_device, describe_device
from frostline.training.prepare import CheckedData, Prepared, check_data, prepare
from frostline.training.record import AuditError, Observer, Run
from frostline.training.settings import DEFAULTS, PRESETS, parse_pairs, resolve_settings
from frostline.training.spec import RunSpec

if TYPE_CHECKING:
    from frostline.training.executing import execute
    from frostline.training.predict_outputs import ImageDetections, Predictions
    from frostline.training.predicting import predict
    from frostline.training.run import plan_name, train
    from frostline.training.two_runs import train_two_runs

# What trains and predicts brings the statistics along, which a look at a model does without.
_LATER = {
    "ImageDetections": "frostline.training.predict_outputs",
    "Predictions": "frostline.training.predict_outputs",
    "predict": "frostline.training.predicting",
    "execute": "frostline.training.executing",
    "plan_name": "frostline.training.run",
    "train": "frostline.training.run",
    "train_two_runs": "frostline.training.two_runs",
}

__all__ = [
    "DEFAULTS",
    "PRESETS",
    "AuditError",
    "CheckedData",
    "ImageDetections",
    "Observer",
    "Predictions",
    "Prepared",
    "Run",
    "RunSpec",
    "Transfer",
    "check_data",
    "choose_device",
    "describe_device",
    "execute",
    "layers",
    "locate_model",
    "open_checkpoint",
    "open_model",
    "parse_pairs",
    "plan_name",
    "predict",
    "prepare",
    "resolve_settings",
    "train",
    "train_two_runs",
]


def __getattr__(name: str) -> Any:
    """Import what trains or predicts at its first use."""
    if name not in _LATER:
        raise AttributeError(f"module 'frostline.training' has no attribute '{name}'")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, whether imported already or not."""
    return sorted(__all__)
