"""Rendered streets with true boxes, shadows and illuminant directions: the data that comes with Frostline itself."""

from __future__ import annotations

from frostline.datasets.scenes.layout import CLASSES
from frostline.datasets.scenes.render import Scene, render_scene
from frostline.datasets.scenes.writing import SceneSummary, render_scenes

__all__ = ["CLASSES", "Scene", "SceneSummary", "render_scene", "render_scenes"]
