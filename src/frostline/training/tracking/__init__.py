"""Experiment trackers: off by default, and filled by Ultralytics' own callbacks where one is asked for."""

from __future__ import annotations

from frostline.training.tracking.base import Track, Tracker
from frostline.training.tracking.choosing import TRACKERS, check_tracker, tracked, tracking_study
from frostline.training.tracking.quiet import all_callbacks, without_unasked

__all__ = [
    "TRACKERS",
    "Track",
    "Tracker",
    "all_callbacks",
    "check_tracker",
    "tracked",
    "tracking_study",
    "without_unasked",
]
