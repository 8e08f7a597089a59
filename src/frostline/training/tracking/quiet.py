"""Nothing is sent anywhere, and nothing is kept in a tracker, that nobody asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

ON_BY_DEFAULT = frozenset(
    {"ultralytics.utils.events"}
    | {f"ultralytics.utils.callbacks.{name}" for name in ("clearml", "comet", "dvc", "mlflow", "raytune")}
)
"""Usage analytics, which Ultralytics sends to Google unless its setting `sync` is off, and trackers that it fills as
soon as their package is installed."""

OURS = "frostline"
"""Mark of a callback that a run was asked to have."""


def unasked(callback: Callable[..., Any]) -> bool:
    """Tell whether a callback is one that Ultralytics adds without being asked.

    Those of `tensorboard` and `wandb` are off in its settings until a user turns them on.
    """
    return getattr(callback, "__module__", "") in ON_BY_DEFAULT and not hasattr(callback, OURS)


def without_unasked(callbacks: dict[str, list[Callable[..., Any]]]) -> None:
    """Take what nobody asked for out of the callbacks of a trainer, a validator or a predictor of ours.

    Args:
        callbacks: by event; changed in place.
    """
    for event, functions in callbacks.items():
        callbacks[event] = [one for one in functions if not unasked(one)]


class Asked:
    """A callback that a run was asked to have.

    Args:
        call: takes the trainer.
    """

    frostline = True

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def __call__(self, trainer: Any) -> None:
        """Call it."""
        self._call(trainer)


def all_callbacks(asked: Mapping[str, Callable[..., Any]]) -> dict[str, list[Callable[..., Any]]]:
    """Return Ultralytics' default callbacks and those that a run was asked to have, by event."""
    from ultralytics.utils.callbacks import get_default_callbacks

    found: dict[str, list[Callable[..., Any]]] = get_default_callbacks()
    for event, call in asked.items():
        found[event].append(Asked(call))
    return found
