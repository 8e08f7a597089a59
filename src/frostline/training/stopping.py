"""Being asked to stop: a signal from a cluster or a terminal, or a request from another thread, ends as Ctrl-C does."""

from __future__ import annotations

import _thread
import ctypes
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any


def stop_when_terminated() -> None:
    """Let SIGTERM raise `KeyboardInterrupt`, as Ctrl-C does: what was saved is kept and the record says interrupted.

    Only to be called by a program of its own, in its main thread.
    """
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def interrupt() -> None:
    """Interrupt the main thread from another one, even where it was started with Ctrl-C ignored."""
    if callable(signal.getsignal(signal.SIGINT)):
        _thread.interrupt_main()
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def stop_with_parent(parent: int) -> bool:
    """Ask Linux to terminate this process when the one that started it ends, in whatever way. Elsewhere do nothing.

    Args:
        parent: its process number.

    Returns:
        Whether it is still there.
    """
    if not sys.platform.startswith("linux"):
        return True
    with suppress(OSError, AttributeError):
        libc: Any = ctypes.CDLL(None, use_errno=True)
        libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: prctl(2)
    return os.getppid() == parent
