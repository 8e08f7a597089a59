"""Frostline: how deep to freeze a pretrained detector, answered with evidence.

The public names stand in `__init__.pyi` here and in every room, and are imported when they are first used, so that
`import frostline`, `frostline --help` and `frostline study status` stay quick: none of them imports torch.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
