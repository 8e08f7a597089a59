"""Nothing is sent anywhere that nobody asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

EVENTS = "ultralytics.utils.events"
"""Usage analytics, which Ultralytics sends to Google unless its setting `sync` is off."""


def without_telemetry(callbacks: dict[str, list[Callable[..., Any]]]) -> None:
    """Take Ultralytics' usage analytics out of the callbacks of a trainer, a validator or a predictor of ours.

    Trackers that the user turned on in Ultralytics' settings stay.

    Args:
        callbacks: by event; changed in place.
    """
    for event, functions in callbacks.items():
        callbacks[event] = [one for one in functions if getattr(one, "__module__", "") != EVENTS]
