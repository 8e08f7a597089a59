"""Numbers from predictions and learning curves: metrics, their intervals, convergence, runs side by side. No torch."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
