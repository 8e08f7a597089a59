"""What each run of a study said: a log beside its folder, which it can be followed in while it trains elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from frostline.training import Observer
from frostline.training.faults import reason_of

FOLDER = "logs"


def log_of(folder: Path, label: str) -> Path:
    """Return the log of a run.

    Args:
        folder: the study's.
        label: `arm/seed0`.
    """
    return folder / FOLDER / f"{label}.log"


class LoggedObserver:
    """Passes on what a run says, and writes it down.

    Args:
        observer: told of everything.
        check: called first; it raises where the run is no longer this process's.
        stream: written to, or None.
    """

    def __init__(self, observer: Observer, check: Callable[[], None], stream: BinaryIO | None) -> None:
        self._observer = observer
        self._check = check
        self._stream = stream

    def say(self, text: str) -> None:
        """Take a line."""
        self._check()
        self._write(text)
        self._observer.say(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        """Take the end of an epoch."""
        self._check()
        self._write(f"epoch {done} of {total}, mAP50 {metrics.get('metrics/mAP50(B)', 0.0):.4f}")
        self._observer.epoch(done, total, metrics)

    def _write(self, text: str) -> None:
        if self._stream is not None:
            with suppress(OSError):  # a log that cannot be written, as on a full disk, is no reason to lose the run
                self._stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode())


@contextmanager
def logged(observer: Observer, check: Callable[[], None], log: Path | None) -> Iterator[LoggedObserver]:
    """Give an observer that writes down what a run says, and how it ends.

    Args:
        observer: told, too.
        check: see `LoggedObserver`.
        log: written on, or None.
    """
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    # Without a buffer, of which a full disk would take nothing when the log is closed, either.
    with nullcontext() if log is None else log.open("ab", buffering=0) as stream:
        told = LoggedObserver(observer, check, stream)
        try:
            yield told
        except BaseException as error:
            told._write(reason_of(error))
            raise
