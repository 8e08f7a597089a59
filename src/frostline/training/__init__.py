"""One run: Ultralytics carrying out a freeze plan, stage by stage, what is measured of it, and what it predicts."""

from __future__ import annotations

import os

import lazy_loader

import frostline.training.threads  # noqa: F401 (reads OMP_NUM_THREADS before Ultralytics sets it)

# Read by Ultralytics when it is imported: neither a checkpoint nor an odd image file may install a package.
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
