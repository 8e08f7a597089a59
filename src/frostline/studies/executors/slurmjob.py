"""What a job of SLURM does on its node: the run's log, the dataset on the node's disk, the run, and a way to go on.

submitit calls it, and listens to the signal that SLURM sends before it takes the node away: the epochs that are saved
are kept, the job goes back into the queue, and the run goes on from there.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any

from frostline.studies.claims import BEAT_SECONDS, STALE_SECONDS
from frostline.studies.executors.base import Order
from frostline.studies.executors.staging import stage
from frostline.studies.worker import BAD_INPUT, FAILED, log_to_stdout, work

CLAIM_PATIENCE_SECONDS = STALE_SECONDS + 2 * BEAT_SECONDS
"""That a job waits for the claim of a node that died, perhaps its own before it was requeued."""

END_PATIENCE_SECONDS = 600.0
"""That a run which failed after SIGTERM waits for what SLURM does next."""

logger = logging.getLogger("frostline.worker")


class JobError(RuntimeError):
    """A run that failed, for SLURM to count its job as failed."""


@dataclass(frozen=True)
class SlurmRun:
    """Carries out one run of a study in a job.

    Attributes:
        order: the run.
        stage_data: see `SlurmSettings`.
    """

    order: Order
    stage_data: bool | str = False

    def __call__(self) -> int:
        """Carry the run out, and return the worker's exit status.

        Raises:
            JobError: the run failed, or its input is bad.
        """
        self._log_here()
        terminated = listen()
        where = os.environ.get("SLURMD_NODENAME", "this machine")
        again = int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0)
        logger.info("job %s on %s%s", os.environ.get("SLURM_JOB_ID"), where, f", requeued {again} times" * (again > 0))
        status = self._work()
        if status in (FAILED, BAD_INPUT):
            if terminated:  # processes that load images were told to end, too: the run failed by that
                logger.info("terminated; waiting for SLURM to requeue or to end this job")
                time.sleep(END_PATIENCE_SECONDS)
            raise JobError(f"{self.order.label} failed; see {self.order.log}")
        return status

    def checkpoint(self) -> Any:
        """Return what the requeued job is to do: the same, as every epoch that ended is on disk."""
        from submitit.helpers import DelayedSubmission

        signal.signal(preemption_signal(), signal.SIG_IGN)  # once is enough
        logger.info("SLURM takes the node away; what was saved is kept, and the run goes on when the job runs again")
        return DelayedSubmission(self)

    def _work(self) -> int:
        order = self.order
        place_of = None
        if self.stage_data is not False:
            wanted = self.stage_data

            def place_of(data: str) -> str:
                return stage(data, wanted, logger.info)

        return work(
            order.study, order.arm, order.seed, order.device, order.trust, order.track,
            patience=CLAIM_PATIENCE_SECONDS, place_of=place_of,
        )  # fmt: skip

    def _log_here(self) -> None:
        """Let everything that this process prints from now on go into the run's log."""
        log = self.order.log
        log.parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        with log.open("ab") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        log_to_stdout()
        logging.getLogger("submitit").handlers.clear()  # it says each warning twice, and ours is enough


def preemption_signal() -> int:
    """Return the signal that submitit listens to, of which its users may choose another one."""
    return int(getattr(signal, f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"))


def listen() -> list[int]:
    """Let what submitit does upon signals be done in this process alone, and return a list that SIGTERM is noted in.

    SLURM signals every process of a job, and those that load images are forks of this one: each would requeue the job.
    """
    owner = os.getpid()
    terminated: list[int] = []
    for number in (preemption_signal(), int(signal.SIGTERM)):
        theirs = signal.getsignal(number)

        def heard(number: int, frame: FrameType | None, theirs: Any = theirs) -> None:
            if os.getpid() != owner:
                if number == signal.SIGTERM:
                    signal.signal(number, signal.SIG_DFL)
                    os.kill(os.getpid(), number)
                return
            if number == signal.SIGTERM:
                terminated.append(number)
            if callable(theirs):
                theirs(number, frame)

        signal.signal(number, heard)
    return terminated
