"""Frostline: how deep to freeze a pretrained detector, answered with evidence.

The public names below are imported when they are first used, so that `import frostline` and `frostline --help` stay
quick: neither imports torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "InputError": "frostline.errors",
    "FreezePlan": "frostline.freezing",
    "Stage": "frostline.freezing",
    "LayerTable": "frostline.freezing",
    "set_trainable_first_n_layers": "frostline.freezing",
    "set_frozen_first_n_layers": "frostline.freezing",
    "set_eval_for_frozen_layers": "frostline.freezing",
    "summarize_trainable_and_bn": "frostline.freezing",
    "layers": "frostline.training",
    "train": "frostline.training",
    "predict": "frostline.training",
    "evaluate": "frostline.training.evaluating",
    "pretrain": "frostline.training.pretraining.run",
    "Run": "frostline.training",
    "probe": "frostline.probing",
    "Study": "frostline.studies",
    "compare": "frostline.analysis",
    "Report": "frostline.report",
}
_ROOMS = ("imaging", "freezing", "analysis", "datasets", "training", "probing", "studies", "report")

__all__ = ["__version__", *_HOME, *_ROOMS]  # noqa: PLE0604 (names resolved by __getattr__)


def __getattr__(name: str) -> Any:
    """Import a public name or a room at its first use."""
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"frostline.{name}")
    else:
        raise AttributeError(f"module 'frostline' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, whether imported already or not."""
    return sorted(__all__)
