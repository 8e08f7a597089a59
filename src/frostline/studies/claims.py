"""Who carries a run out: a claim on it that one process can hold, on one disk or on a network file system.

A claim is a folder that holds one file, named after its holder. It is taken by renaming a whole folder into place,
which fails where another one is, and taken over by renaming the file within, which only one of many can do. Both
hold on NFS version 3 and later, where locks may not. Source: rename(2), POSIX.1-2017: `ENOTEMPTY`, `ENOENT`.

The holder touches its file every few seconds. A claim that was not touched for long is stale, and so is one whose
process is gone from this machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from frostline.training.record import AbandonedError

FOLDER = "claims"
STALE_SECONDS = 120.0
"""After which a claim that nobody touches can be taken over."""

BEAT_SECONDS = 10.0
LOOK_SECONDS = 1.0
CANCEL = "cancel"
"""A file beside the claims: who started before it was written stops."""


class TakenError(RuntimeError):
    """Another process holds the run."""


@dataclass(frozen=True)
class Holder:
    """Who holds a claim.

    Attributes:
        host: name of its machine.
        pid: its process.
        started: when that process began, in seconds since the machine did, which no change of its clock moves;
            where there is no /proc, since 1970.
        place: where that process number means something: a boot of a machine, and a container on it.
        job: what SLURM knows it by, or None.
    """

    host: str
    pid: int
    started: float
    place: str
    job: str | None = None

    @classmethod
    def here(cls) -> Holder:
        """Describe this process."""
        process = psutil.Process()
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:80]
        return cls(host, process.pid, round(_begun(process), 2), _place(), os.environ.get("SLURM_JOB_ID"))

    @classmethod
    def named(cls, name: str) -> Holder | None:
        """Read a holder from the name of its file; None where it is something else."""
        try:
            host, pid, started, place, job, _ = name.split("~")
            return cls(host, int(pid), float(started), place, job or None)
        except ValueError:
            return None

    def new_name(self) -> str:
        """Name a file after this holder, unlike any other."""
        return "~".join([self.host, str(self.pid), str(self.started), self.place, self.job or "", uuid.uuid4().hex])

    def __str__(self) -> str:
        """Name it for a user."""
        return f"process {self.pid} on {self.host}" + (f" (job {self.job})" if self.job else "")

    @property
    def gone(self) -> bool:
        """Whether its process is known to have ended. Of another machine nothing is known."""
        if self.place != _place():
            return False
        try:
            process = psutil.Process(self.pid)
            return abs(_begun(process) - self.started) > 1 or process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return True


def _begun(process: psutil.Process) -> float:
    try:  # field 22 of proc(5); the name of the program, in brackets before, may hold spaces
        told = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii", errors="replace")
        return int(told.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return float(process.create_time())


def _place() -> str:
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]


class Claims:
    """The claims of one study.

    Args:
        folder: the study's.
        stale: seconds after which a claim that nobody touched can be taken over.
        beat: seconds between two touches.
    """

    def __init__(self, folder: Path, stale: float = STALE_SECONDS, beat: float = BEAT_SECONDS) -> None:
        self.folder = folder / FOLDER
        self.stale = stale
        self.beat = beat

    def take(self, label: str) -> Claim:
        """Take a run, from nobody or from a holder that is gone.

        Args:
            label: `arm/seed0`.

        Raises:
            TakenError: another process holds it.
        """
        here, own = Holder.here(), self._path(label)
        while True:
            name = here.new_name()
            beside = self.folder / f".new-{uuid.uuid4().hex}"
            beside.mkdir(parents=True)
            (beside / name).touch()
            try:
                beside.rename(own)
                self._tidy()
                return Claim(own / name, self)
            except OSError:  # there is a claim already
                shutil.rmtree(beside, ignore_errors=True)
            for file, holder in _held(own):
                if not self._is_stale(file, holder):
                    raise TakenError(f"carried out by {holder}")
                try:
                    file.rename(own / name)
                except FileNotFoundError:
                    continue  # somebody else was quicker, or it was given back
                claim = Claim(own / name, self)
                if claim.touch():  # until then its date is that of the stale one, and it may be taken over itself
                    return claim

    def tidy(self) -> None:
        """Remove stale claims, as of a process that was killed when its run had just finished, and what `take` left."""
        for own in self.folder.glob("[!.]*"):
            for file, holder in _held(own):
                if self._is_stale(file, holder):
                    with suppress(OSError):  # taken over meanwhile
                        file.unlink()
                        own.rmdir()
        self._tidy()

    def _tidy(self) -> None:
        """Remove what was killed between two steps of taking a claim; what is young may be another one's at work."""
        half = [*self.folder.glob(".new-*"), *self.folder.glob(".clock-*")]
        now = self._now() if half else 0.0  # to ask for the time is to write a file
        for left in half:
            with suppress(OSError):
                if now - left.stat().st_mtime > self.stale:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def holder(self, label: str) -> Holder | None:
        """Return who holds a run now, or None."""
        for file, holder in _held(self._path(label)):
            if not self._is_stale(file, holder):
                return holder
        return None

    def cancel(self) -> None:
        """Ask every process that works on the study now to stop."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / CANCEL).write_text(uuid.uuid4().hex, encoding="ascii")

    def cancelled_since(self) -> Callable[[], bool]:
        """Return a function that tells whether `cancel` was called after now."""
        before = self._mark()
        return lambda: self._mark() != before

    def _mark(self) -> str:
        try:
            return (self.folder / CANCEL).read_text(encoding="ascii")
        except OSError:
            return ""

    def _path(self, label: str) -> Path:
        return self.folder / label.replace("/", "@")

    def _is_stale(self, file: Path, holder: Holder) -> bool:
        if holder.gone:
            return True
        try:
            # far in the future, too: the clock was set back since, and a holder that is alive dates it anew at once
            return abs(self._now() - file.stat().st_mtime) > self.stale
        except OSError:
            return True

    def _now(self) -> float:
        """Return the time by the clock that dates files: a file server's may differ from this machine's."""
        try:
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".clock-") as probe:
                return os.fstat(probe.fileno()).st_mtime
        except OSError:  # a study that is only looked at, on a disk that is full or may not be written
            return time.time()


def _held(folder: Path) -> list[tuple[Path, Holder]]:
    try:
        named = [(file, Holder.named(file.name)) for file in folder.iterdir()]
    except OSError:
        return []
    return [(file, holder) for file, holder in named if holder is not None]


class Claim:
    """A run that this process holds.

    Args:
        file: of the claim.
        claims: it is one of.
    """

    def __init__(self, file: Path, claims: Claims) -> None:
        self.file = file
        self.claims = claims

    def touch(self) -> bool:
        """Say that the holder is alive; False where another took the claim over."""
        try:
            os.utime(self.file)  # without a time: the file server's own clock dates it
        except FileNotFoundError:
            return False
        except OSError:  # a server that is away for a moment
            return True
        return True

    def release(self) -> None:
        """Give the run back."""
        with suppress(OSError):
            self.file.unlink()
            self.file.parent.rmdir()

    @contextmanager
    def kept(self, on_cancel: Callable[[], Any]) -> Iterator[Callable[[], None]]:
        """Hold the run while the block runs, and give it back.

        Args:
            on_cancel: called, in another thread, when somebody asks the study to stop.

        Yields:
            A function to call before anything is written: it raises `AbandonedError` where another took the run over.
        """
        ended, lost = threading.Event(), threading.Event()
        cancelled = self.claims.cancelled_since()

        def beat() -> None:
            asked = False
            last = time.monotonic()
            while not ended.wait(min(LOOK_SECONDS, self.claims.beat)):
                if time.monotonic() - last >= self.claims.beat:
                    last = time.monotonic()
                    if not self.touch():
                        lost.set()
                        return
                if not asked and cancelled():
                    asked = True
                    on_cancel()

        def check() -> None:
            if lost.is_set() or not self.file.exists():
                raise AbandonedError("another process took this run over")

        thread = threading.Thread(target=beat, name="claim", daemon=True)
        thread.start()
        try:
            yield check
        finally:
            ended.set()
            thread.join()
            self.release()
