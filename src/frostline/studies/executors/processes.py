"""Runs in processes of their own on this machine: some at a time, with GPUs and CPU threads dealt out."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque

from frostline.errors import InputError
from frostline.studies.executors.base import ENDED, Executor, Handle, Order, State, reason_of
from frostline.studies.executors.endings import ending, last_error, words_of
from frostline.training.threads import usable_threads

PATIENCE_SECONDS = 8.0
"""That a run has to stop when it is asked to."""


class ProcessHandle(Handle):
    """A run in a process, or waiting for one."""

    def __init__(self, order: Order, executor: ProcessExecutor) -> None:
        super().__init__(order)
        self._executor = executor
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    @property
    def state(self) -> State:
        """Where it stands."""
        self._executor.advance()
        return self._now()

    def _now(self) -> State:
        if self._process is None:
            return "interrupted" if self._cancelled else "waiting"
        status = self._process.poll()
        if status is None:
            return "running"
        return ending(status, self._cancelled)

    @property
    def reason(self) -> str | None:
        """Why it failed."""
        if self._process is None or self._now() != "failed":
            return None
        status = self._process.returncode
        return last_error(self.log, status) or reason_of(self.order, words_of(status))

    def wait(self, seconds: float | None = None) -> State:
        """Wait until it has ended, or for so long."""
        ends = None if seconds is None else time.monotonic() + seconds
        while (state := self.state) not in ENDED and (ends is None or time.monotonic() < ends):
            time.sleep(0.05)
        return state

    def cancel(self) -> None:
        """Ask it to stop."""
        self._cancelled = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


class ProcessExecutor(Executor):
    """Carries runs out in processes.

    Args:
        count: processes at a time.
        devices: dealt out to them in turn, such as `["0", "1"]` or `["cpu"]`.

    Raises:
        InputError: fewer than one process.
    """

    def __init__(self, count: int, devices: list[str]) -> None:
        if count < 1:
            raise InputError(f"processes:{count}: expected at least 1")
        self.count = count
        self.devices = devices
        self.device: str | None = devices[0]
        self.threads = max(usable_threads() // count, 1)
        self._waiting: deque[ProcessHandle] = deque()
        self._slots: dict[int, ProcessHandle] = {}

    def submit(self, order: Order) -> ProcessHandle:
        """Take a run."""
        handle = ProcessHandle(order, self)
        self._waiting.append(handle)
        self.advance()
        return handle

    def describe(self) -> str:
        """Say how many processes there are, and what each has."""
        on = ", ".join("the CPU" if device == "cpu" else f"device {device}" for device in self.devices)
        threads = f"{self.threads} CPU thread{'s' * (self.threads > 1)} each"
        return f"{self.count} process{'es' * (self.count > 1)} at a time on {on}, {threads}"

    def advance(self) -> None:
        """Begin waiting runs where others have ended."""
        for slot, handle in list(self._slots.items()):
            if handle._now() in ENDED:
                del self._slots[slot]
        while self._waiting and len(self._slots) < self.count:
            handle = self._waiting.popleft()
            if not handle._cancelled:
                slot = next(number for number in range(self.count) if number not in self._slots)
                self._begin(handle, slot)

    def _begin(self, handle: ProcessHandle, slot: int) -> None:
        order = handle.order
        device = self.devices[slot % len(self.devices)]
        order.log.parent.mkdir(parents=True, exist_ok=True)
        threads = {"OMP_NUM_THREADS": str(self.threads), "POLARS_MAX_THREADS": str(self.threads)}
        with order.log.open("ab") as log:
            handle._process = subprocess.Popen(
                [*order.words(device), "--with-parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **threads, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is for this process, which passes it on
            )
        self._slots[slot] = handle

    def close(self) -> None:
        """Stop what is still running."""
        self._waiting.clear()
        running = [handle for handle in self._slots.values() if handle._now() not in ENDED]
        for handle in running:
            handle.cancel()
        ends = time.monotonic() + PATIENCE_SECONDS
        for handle in running:
            process = handle._process
            assert process is not None
            try:
                process.wait(max(ends - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that load images for it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
