"""Many runs: arms times seeds, their state on disk, and who carries them out."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
