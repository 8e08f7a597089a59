"""Loops over boxes and draws that are compiled when first called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop) -> Loop:
    """Compile a loop, kept on disk where the package's folder can be written, and run it without holding the GIL.

    A division by zero gives infinity or NaN as in NumPy: the check for it would keep loops from being vectorised.
    """
    return _compiled(function)


def contracted(function: Loop) -> Loop:
    """Compile a loop like `compiled`, with a product and a sum in one rounding where the processor has that."""
    return _compiled(function, fastmath={"contract"})


def _compiled(function: Loop, **more: Any) -> Loop:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", **more}
    try:
        return cast(Loop, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder to keep it in, as for a package that was installed read-only
        return cast(Loop, numba.njit(**options)(function))


def inlined(function: Loop) -> Loop:
    """Let a loop be pasted into the compiled one that calls it.

    LLVM vectorises a loop over draws only where it sees how the arrays were made; a function of its own does not show.
    """
    return cast(Loop, numba.njit(inline="always", error_model="numpy")(function))
