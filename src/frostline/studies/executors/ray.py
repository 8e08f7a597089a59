"""Runs on a Ray cluster: the one at an address, or one that is started here for as long as the study takes.

Every node sees the study's folder, the data, the weights and this Python environment under the same paths. So what a
run writes is where it belongs at once, and one whose node died is carried on by another node from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from frostline.errors import InputError
from frostline.studies.claims import Claims
from frostline.studies.executors.base import ENDED, Executor, Handle, Order, State, reason_of
from frostline.studies.executors.endings import NO_FOLDER, ending, last_error, words_of
from frostline.training import Run

PATIENCE_SECONDS = 8.0
RETRIES = 5
"""Times that a run is begun again because its node or its worker died."""


class RaySettings(BaseModel):
    """How runs are placed on a Ray cluster.

    Attributes:
        address: of the cluster, such as `auto` or `ray-head:6379`; None starts one on this machine.
        gpus_per_run: GPUs for a run; a half puts two runs on each. None: one where the cluster has any, else none.
        cpus_per_run: CPU cores for a run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = None
    gpus_per_run: float | None = Field(default=None, ge=0)
    cpus_per_run: float = Field(default=2.0, gt=0)


class RayHandle(Handle):
    """A run that Ray has."""

    def __init__(self, order: Order, task: Any, claims: Claims) -> None:
        super().__init__(order)
        self._task = task
        self._claims = claims
        self._state: State | None = None
        self._reason: str | None = None

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.wait(0)

    @property
    def reason(self) -> str | None:
        """Why it failed."""
        return self._reason

    def wait(self, seconds: float | None = None) -> State:
        """Wait until it has ended, or for so long."""
        import ray

        if self._state is not None:
            return self._state
        done, _ = ray.wait([self._task], timeout=seconds)
        if not done:
            return "running" if self._claims.holder(self.order.label) is not None or self._finishing() else "waiting"
        try:
            status = int(ray.get(self._task))
        except ray.exceptions.TaskCancelledError:
            self._state = "interrupted"
        except ray.exceptions.RayError as error:
            self._state = "failed"
            self._reason = reason_of(self.order, " ".join(str(error).split())[:300])
        else:
            self._state = ending(status)
            if self._state == "failed":
                told = last_error(self.order.log, status)
                self._reason = told or reason_of(self.order, words_of(status))
        return self._state

    def _finishing(self) -> bool:
        """Whether it has let its claim go as it has finished, and its process has yet to end."""
        run = Run.open(self.order.folder)
        return run is not None and run.status == "finished"

    def cancel(self) -> None:
        """Ask it to stop: its worker ends, and with it, by SIGTERM, the run."""
        import ray

        with suppress(ray.exceptions.RayError):
            ray.cancel(self._task, force=True)


class RayExecutor(Executor):
    """Carries runs out on a Ray cluster.

    Args:
        settings: how they are placed.
        study: the study's folder.
        device: as asked for: `cpu`, or None to use what Ray gives.

    Raises:
        InputError: Ray is not installed, the cluster does not answer, or it can never hold a run.
    """

    def __init__(self, settings: RaySettings, study: Path, device: str | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError("on: ray: Ray is not installed; pip install 'frostline[ray]'") from error
        if device not in (None, "cpu"):
            raise InputError(f"on: ray: Ray deals the GPUs out, so --device {device} says nothing; use --gpus-per-run")
        self.device: str | None = device
        self._claims = Claims(study)
        self._handles: list[RayHandle] = []
        self._ours = not ray.is_initialized()
        self.dashboard = _connect(settings.address) if self._ours else ""
        self.cluster = ray.cluster_resources()
        gpus = settings.gpus_per_run
        if gpus is None:
            gpus = 1.0 if device is None and self.cluster.get("GPU", 0) >= 1 else 0.0
        if device == "cpu":
            gpus = 0.0
        self.gpus, self.cpus = gpus, settings.cpus_per_run
        if not any(_holds(node, self.cpus, self.gpus) for node in ray.nodes()):
            self.close()
            raise InputError(
                f"on: ray: no node has the {self.cpus:g} CPU cores and {self.gpus:g} GPUs that a run asks for; lower "
                "--cpus-per-run or --gpus-per-run"
            )

    def describe(self) -> str:
        """Say what cluster it is, and what each run gets."""
        import ray

        nodes = sum(node["Alive"] for node in ray.nodes())
        there = f"{self.cluster.get('CPU', 0):g} CPU cores, {self.cluster.get('GPU', 0):g} GPUs"
        link = f"; dashboard http://{self.dashboard}" if self.dashboard else ""
        return f"Ray, {nodes} node{'s' * (nodes != 1)} ({there}); {self.cpus:g} cores, {self.gpus:g} GPUs a run{link}"

    def submit(self, order: Order) -> RayHandle:
        """Take a run."""
        import ray

        remote = ray.remote(_carry_out).options(
            num_cpus=self.cpus, num_gpus=self.gpus, max_retries=RETRIES, name=order.label
        )
        threads = max(int(self.cpus), 1)
        task = remote.remote(order.words(None if self.gpus else "cpu"), str(order.log), threads, sys.path)
        handle = RayHandle(order, task, self._claims)
        self._handles.append(handle)
        return handle

    def close(self) -> None:
        """Stop what is still running, and leave the cluster, or end it where it was started here."""
        import ray

        running = [handle for handle in self._handles if handle.state not in ENDED]
        for handle in running:
            handle.cancel()
        ends = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends and any(self._claims.holder(one.order.label) for one in running):
            time.sleep(0.1)
        if self._ours:
            ray.shutdown()


def _connect(address: str | None) -> str:
    """Connect to a cluster, or start one here; return the address of its dashboard, if it has one."""
    import ray

    before = signal.getsignal(signal.SIGTERM)
    try:
        context = ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR)
        return str(context.dashboard_url or "")
    except (ConnectionError, RuntimeError, ValueError) as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"on: ray: no cluster answers at {address or 'this machine'}: {told}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there, which knows nothing of runs


def _holds(node: dict[str, Any], cpus: float, gpus: float) -> bool:
    has = node["Resources"]
    return bool(node["Alive"] and has.get("CPU", 0) >= cpus and has.get("GPU", 0) >= gpus)


def _carry_out(words: list[str], log: str, threads: int, path: list[str]) -> int:
    """Carry a run out in a process of its own, on the node that Ray chose; return its exit status.

    The process is not Ray's worker itself: it starts anew, with the threads and the GPUs that it was given, and is
    terminated as any other when the worker ends.
    """
    here = Path(log)
    if not here.parent.parent.parent.is_dir():
        return NO_FOLDER
    here.parent.mkdir(parents=True, exist_ok=True)
    kept = os.pathsep.join(one for one in path if one)
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(threads), "POLARS_MAX_THREADS": str(threads), "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": kept,
    }  # fmt: skip
    with here.open("ab") as stream:
        process = subprocess.Popen(
            [*words, "--with-parent", str(os.getpid())],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
        return process.wait()
