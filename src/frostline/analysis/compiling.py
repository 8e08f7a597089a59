"""Loops over boxes and draws that are compiled when first called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop) -> Loop:
    """Compile a loop, kept on disk where the package's folder can be written, and run it without holding the GIL."""
    try:
        return cast(Loop, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder to keep it in, as for a package that was installed read-only
        return cast(Loop, numba.njit(nogil=True)(function))
