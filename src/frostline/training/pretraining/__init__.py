"""Pretraining of a detector's backbone on images without labels, by lightly-train, kept by content."""

from __future__ import annotations

from frostline.training.pretraining.settings import Pretraining
from frostline.training.pretraining.start import PretrainError

__all__ = ["PretrainError", "Pretraining"]
