"""Is a dataset fit to train on? Every image decoded, every label read, splits compared, and a verdict."""

from __future__ import annotations

from frostline.datasets.quality.inspect import inspect_dataset
from frostline.datasets.quality.report import Finding, Report

__all__ = ["Finding", "Report", "inspect_dataset"]
