"""A stage on several GPUs of one machine: a process for each, started and wired up as Ultralytics does it.

Ultralytics' processes know nothing but the trainer's class, its arguments and its callbacks, so the job of the stage
rides among the callbacks. What they tell comes back in a file of messages: only the first process (rank 0) writes it.
Source: Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import RANK
from ultralytics.utils.dist import ddp_cleanup, find_free_network_port, generate_ddp_file
from ultralytics.utils.torch_utils import TORCH_2_13, unwrap_model

from frostline.errors import InputError
from frostline.freezing import Audit, AuditCheck
from frostline.training.arithmetic import filling_memory
from frostline.training.job import CARRIED, StageJob
from frostline.training.progress import Progress

LOOK_SECONDS = 0.2
STOP_SECONDS = 5.0
KNOWN = {kind.__name__: kind for kind in (InputError, FileNotFoundError, MemoryError)}
"""Errors that mean something to who catches them; any other comes back as a RuntimeError."""


@dataclass(frozen=True)
class Post:
    """What the first process tells the run, a line of JSON each.

    Attributes:
        path: of the messages.
        run: process that waits for them.
        started: when it was made, in seconds since the epoch, as another one can get its number.
    """

    path: Path
    run: int
    started: float

    def send(self, kind: str, value: Any) -> None:
        """Tell the run something. Only what the first process says counts, but for what went wrong."""
        if RANK <= 0 or kind == "error":
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([kind, value]) + "\n")

    def say(self, line: str) -> None:
        """Tell the user something."""
        self.send("say", line)

    def on_epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        """Tell that an epoch is done."""
        self.send("epoch", [done, total, {key: float(value) for key, value in metrics.items()}])

    def leave_with_run(self) -> None:
        """End this process as soon as that of the run is gone, in whatever way that ended."""

        def watch() -> None:
            while True:
                with suppress(psutil.NoSuchProcess):
                    if abs(psutil.Process(self.run).create_time() - self.started) < 1:
                        time.sleep(1)
                        continue
                os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


class SeveralTrainer(DetectionTrainer):
    """A trainer that can be one of several processes, each with a GPU and a share of every batch."""

    job: StageJob
    audit_result: Audit | None
    progress: Progress
    model: Any

    @property
    def leads(self) -> bool:
        """Whether this is the only process, or the first of several: the one that writes and decides."""
        return bool(RANK <= 0)

    def train(self) -> None:
        """Train here, or in processes that are started for it."""
        if self.ddp:
            train_in_processes(self)
            return
        with filling_memory(self.job.fill_memory):
            if self.job.post is None:
                super().train()
                return
            self.job.post.leave_with_run()
            if self.leads:
                self.job.memory.start()
            try:
                super().train()
            except Exception as error:
                self.job.post.send("error", [type(error).__name__, str(error)])
                raise
            self._report()

    def _report(self) -> None:
        """Tell what the run must know of a stage that is done."""
        if self.leads and self.job.post is not None and self.audit_result is not None:
            self.job.post.send("memory", self.job.memory.read())
            self.job.post.send("audit", self.audit_result.to_dict())

    def wrap_anew(self) -> None:
        """Wrap the detector for what trains now: the wrapper knows what did when it was made, and nothing later.

        BatchNorm statistics differ between processes, as they see other images; those of the first one hold from here.
        """
        if self.world_size <= 1:
            return
        inner: nn.Module = unwrap_model(self.model)
        self.model = None  # the old wrapper's hooks go with it
        gc.collect()
        for buffer in inner.buffers():
            dist.broadcast(buffer, src=0)
        options: dict[str, Any] = {"forward_sync_buffers" if TORCH_2_13 else "broadcast_buffers": False}
        devices = None if self.device.type == "cpu" else [self.device.index]
        self.model = DistributedDataParallel(inner, devices, find_unused_parameters=True, **options)

    def agreed(self, value: Any) -> Any:
        """Return what the first process has, in all of them."""
        if self.world_size <= 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    def check_processes(self) -> list[AuditCheck]:
        """Compare the parameters of all processes to the bit; nothing to compare where there is one."""
        if self.world_size <= 1:
            return []
        found: list[Any] = [None] * self.world_size
        dist.all_gather_object(found, _parameters_print(unwrap_model(self.model)))
        same = len(set(found)) == 1
        ended = f"{self.world_size} processes ended with {'the same' if same else 'different'} parameters"
        return [AuditCheck("processes agree", same, ended)]


def _parameters_print(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def train_in_processes(trainer: SeveralTrainer) -> None:
    """Let Ultralytics' processes train a stage, and pass on what they tell.

    Ultralytics would remove the run's folder first, in which there is more than it knows of; so its program is started
    here.

    Args:
        trainer: of the process of the run, built and not yet training. It gets the audit and the memory of the stage.

    Raises:
        RuntimeError: one of them failed, with its error; or see `KNOWN`.
    """
    job = trainer.job
    with tempfile.TemporaryDirectory(prefix="frostline-") as scratch:
        post = Post(Path(scratch) / "messages.jsonl", os.getpid(), psutil.Process().create_time())
        post.path.touch()
        child = replace(job, say=post.say, on_epoch=post.on_epoch, callbacks={}, seat=None, post=post)
        trainer.callbacks[CARRIED] = [child]
        program = generate_ddp_file(trainer)
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(trainer.world_size)),
            *("--master_port", str(find_free_network_port()), program),
        ]
        try:
            told = _follow(subprocess.Popen(command), post, job)
        finally:
            ddp_cleanup(trainer, program)
    audit, progress = told.get("audit"), Progress.load(trainer.save_dir)
    if audit is None or progress is None:
        kind, words = told.get("error") or ("", "the processes of the GPUs ended without a result; see the log")
        raise KNOWN.get(kind, RuntimeError)(words)
    trainer.audit_result, trainer.progress = Audit.from_dict(audit), progress
    job.memory.include(told["memory"])


def _follow(process: subprocess.Popen[bytes], post: Post, job: StageJob) -> dict[str, Any]:
    """Pass messages on until the processes end; they end with this one, and where it is interrupted."""
    told: dict[str, Any] = {}
    try:
        with post.path.open(encoding="utf-8") as stream:
            running, rest = True, ""
            while running:
                running = _still(process)
                *lines, rest = (rest + stream.read()).split("\n")
                for line in lines:
                    kind, value = json.loads(line)
                    if kind == "say":
                        job.say(value)
                    elif kind == "epoch":
                        job.on_epoch(*value)
                    else:
                        told.setdefault(kind, value)
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        told.pop("audit", None)
    return told


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the processes to end, then make them: one that waits for another's gradients hears nothing."""
    started: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for one in started:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.kill()
    process.wait()


def _still(process: subprocess.Popen[bytes]) -> bool:
    """Wait a little; tell whether the process goes on."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(LOOK_SECONDS)
    return process.returncode is None
