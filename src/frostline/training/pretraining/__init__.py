"""Pretraining of a detector's backbone on images without labels, by lightly-train, kept by content."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
