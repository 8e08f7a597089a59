"""What can end a run from outside, in one line for its user: what went wrong, what is kept, what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from frostline.errors import InputError, StoppedError
from frostline.training.record import AbandonedError, AuditError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_FULL_WORDS = ("no space left on device", "disk quota exceeded", "pytorchstreamwriter failed", "unexpected pos")
"""How libraries word a full disk that lose the system's number for it: polars the first, torch the others."""

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
_KEPT = "what was saved is kept"


def stopped(error: BaseException, folder: Path) -> BaseException:
    """Return the error that a run ends with: the given one, or its cause in one line where that is known.

    Args:
        error: that reached the end of the run.
        folder: the run's.
    """
    if not isinstance(error, Exception) or isinstance(error, InputError | AuditError | AbandonedError | StoppedError):
        return error
    words = _words(error, folder)
    return error if words is None else StoppedError(words)


def reason_of(error: BaseException) -> str:
    """Word an error for a record or a summary, in one line."""
    text = str(error) if isinstance(error, StoppedError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _words(error: Exception, folder: Path) -> str | None:
    text = str(error)
    low = text.lower()
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL or any(word in low for word in _FULL_WORDS):
        return f"{_where(error, folder)}: no space left on the disk; {_KEPT}: make room and run the same command again"
    if number in _FORBIDDEN:
        why = error.strerror if isinstance(error, OSError) else "not permitted"
        return f"{_where(error, folder)}: {why}; {_KEPT}: make it accessible and run the same command again"
    if isinstance(error, FileNotFoundError):
        gone = error.filename or text.splitlines()[-1].removeprefix("FileNotFoundError: ").strip()
        return f"{gone}: gone while the run was going on; {_KEPT}: put it back and run the same command again"
    if isinstance(error, MemoryError) or any(word in low for word in _MEMORY_WORDS):
        line = next((line.strip() for line in text.splitlines() if line.strip()), "MemoryError")
        return f"out of memory: {line[:200]}; {_KEPT}: train with a smaller batch or smaller images"
    if "nan persisted" in low or "corrupted with nan/inf weights" in low or "no valid last.pt" in low:
        return (
            f"NaN persisted: the loss was no number again and again, and going back to the last checkpoint did not "
            f"help; its curves are kept in {folder}: train with a lower lr0 or a longer warm-up"
        )
    return None


def _where(error: Exception, folder: Path) -> str:
    """Name the file that an error is about; that of a temporary file means nothing to anybody, its folder does."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str):
        return str(folder)
    path = Path(name)
    return str(path.parent if path.name.startswith(".") else path)
