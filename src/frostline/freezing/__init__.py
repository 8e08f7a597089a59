"""Which layers train and when: the layer table, selectors, freeze plans, their application and its audit.

Pure torch. Everything here works on any model whose layers stand in one `nn.Sequential`, a detector of Ultralytics or
a toy of five layers alike.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
