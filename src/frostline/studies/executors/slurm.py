"""Runs as jobs of SLURM, handed in through submitit as one array. A command hands them in and leaves, or waits."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from frostline.errors import InputError
from frostline.studies.carrying import StudyOutcome
from frostline.studies.claims import STALE_SECONDS, Claim, Claims, TakenError
from frostline.studies.executors.base import ENDED, Executor, Handle, Order, State, reason_of
from frostline.studies.executors.slurmfile import SlurmSettings
from frostline.studies.executors.slurmqueue import ASK_SECONDS, QueueError, Submissions, cancel
from frostline.studies.executors.slurmscript import clean_environment, job_name, make_submitit
from frostline.studies.planned import PlannedRun
from frostline.training import Run

SUBMITTING = "submitting"
"""Claimed while jobs are handed in, so that two commands do not hand in the same runs."""

SETTLE_SECONDS = 15.0
"""After which the record of a run whose job has ended is believed: a file server shows it late."""


class SlurmHandle(Handle):
    """A run that is, or is about to be, a job."""

    def __init__(self, order: Order, executor: SlurmExecutor) -> None:
        super().__init__(order)
        self._executor = executor
        self.job: str | None = None
        self.known: bool = False
        self.taken = False
        self._cancelled = False
        self._gone: float | None = None

    @property
    def state(self) -> State:
        """Where it stands."""
        self._executor.flush()
        run = Run.open(self.order.folder)
        if run is not None and run.status == "finished":
            return "finished"
        if self.taken:
            return "taken"
        told = self._executor.submissions.states().get(self.order.label)
        if told is not None and told.active:
            self._gone = None
            return "waiting" if told.waiting else "running"
        return self._without_a_job(run)

    def _without_a_job(self, run: Run | None) -> State:
        if self._executor.claims.holder(self.order.label) is not None:
            return "taken"
        if self._cancelled or (run is not None and run.status == "interrupted"):
            return "interrupted"
        if run is not None and run.status == "failed":
            return "failed"
        self._gone = self._gone if self._gone is not None else time.monotonic()
        return "failed" if time.monotonic() - self._gone > SETTLE_SECONDS else "running"

    @property
    def reason(self) -> str | None:
        """Why it failed."""
        if self.state != "failed":
            return None
        told = self._executor.submissions.states().get(self.order.label)
        return reason_of(self.order, str(told) if told is not None else f"job {self.job} is no longer in the queue")

    def wait(self, seconds: float | None = None) -> State:
        """Wait until it has ended, or for so long."""
        ends = None if seconds is None else time.monotonic() + seconds
        while (state := self.state) not in ENDED and (ends is None or time.monotonic() < ends):
            time.sleep(0.5)
        return state

    def cancel(self) -> None:
        """Take its job out of the queue, or end it."""
        self._cancelled = True
        if self.job is not None:
            cancel([self.job])


class SlurmExecutor(Executor):
    """Hands runs in to SLURM.

    Runs are gathered until one of them is looked at, and then handed in together, as one array. A run that has a job
    in the queue already keeps that.

    Args:
        folder: the study's; every node sees it under this path.
        name: the study's.
        settings: what a job asks for.
        every: seconds between two questions to SLURM.

    Raises:
        InputError: submitit is not installed, SLURM is not on this machine, or the folder cannot be named to it.
    """

    def __init__(self, folder: Path, name: str, settings: SlurmSettings, every: float = ASK_SECONDS) -> None:
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise InputError("on: slurm: there is no sbatch on this machine; start it where jobs are submitted from")
        self.folder = folder.absolute()
        self.name = job_name(name)
        self.settings = settings
        self.device: str | None = None  # the node's, which is not known here
        self.claims = Claims(self.folder)
        self.submissions = Submissions(self.folder, every)
        self._submitit = make_submitit(self.folder, self.name, settings)
        self._new: list[SlurmHandle] = []

    def submit(self, order: Order) -> SlurmHandle:
        """Take a run."""
        handle = SlurmHandle(order, self)
        self._new.append(handle)
        return handle

    def describe(self) -> str:
        """Say what a job asks for."""
        return f"jobs of SLURM, {self.settings.describe()}"

    def flush(self) -> None:
        """Hand in the runs that were gathered, but for those that are in the queue or carried out already.

        Raises:
            InputError: SLURM cannot be asked, or refuses; another command has been handing in for minutes.
        """
        if not self._new:
            return
        handles, self._new = self._new, []
        claim = self._alone()
        try:
            fresh = self._unknown(handles)
            if fresh:
                self._hand_in(fresh)
        except QueueError as error:
            raise InputError(f"on: slurm: {error}; nothing was submitted") from error
        finally:
            claim.release()

    def _alone(self) -> Claim:
        ends = time.monotonic() + STALE_SECONDS + 30
        while True:
            try:
                return self.claims.take(SUBMITTING)
            except TakenError as error:
                if time.monotonic() > ends:
                    raise InputError(f"{self.folder}: other jobs are being submitted: {error}") from error
                time.sleep(0.5)

    def _unknown(self, handles: Sequence[SlurmHandle]) -> list[SlurmHandle]:
        """Return the runs that have no job; of the others, note it."""
        states = self.submissions.states(now=True)
        fresh = []
        for handle in handles:
            label = handle.order.label
            told = states.get(label)
            if told is not None and told.active:
                handle.job, handle.known = told.job, True
            elif self.claims.holder(label) is not None:
                handle.taken = True
            else:
                fresh.append(handle)
        return fresh

    def _hand_in(self, handles: Sequence[SlurmHandle]) -> None:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            with clean_environment():
                jobs = self._submitit.submit_array([_job_of(handle.order, self.settings) for handle in handles])
        except (FailedJobError, FailedSubmissionError) as error:
            said = " ".join(str(error).split()).removeprefix("sbatch: error: ")
            raise InputError(f"on: slurm: sbatch refused the jobs: {said}") from error
        for handle, job in zip(handles, jobs, strict=True):
            handle.job = str(job.job_id)
            self.submissions.write(handle.order.label, handle.job, self.name)
        with suppress(QueueError):
            self.submissions.states(now=True)

    def close(self) -> None:
        """Do nothing: jobs stay in the queue when nobody looks on. `frostline study cancel` ends them."""
        self._new.clear()


def leave(
    folder: Path,
    runs: Sequence[PlannedRun],
    executor: SlurmExecutor,
    device: str | None,
    say: Callable[[str], None],
    track: str | None = None,
) -> StudyOutcome:
    """Hand in every run that is not finished, say how to follow them, and leave.

    Args:
        folder: the study's.
        runs: all of it.
        executor: of SLURM.
        device: asked for, or None.
        say: takes lines for the user.
        track: the tracker that keeps the runs, or None.

    Raises:
        InputError: see `SlurmExecutor.flush`.
    """
    outcome = StudyOutcome()
    handles = []
    for planned in runs:
        run = Run.open(planned.folder)
        if run is not None and run.status == "finished":
            outcome.finished.append(run)
        else:
            handles.append(executor.submit(Order.of(planned, folder, device, track)))
    executor.flush()
    for handle in handles:
        label = handle.order.label
        if handle.taken:
            say(f"{label} is carried out by {executor.claims.holder(label) or 'another process'}: not submitted")
        elif handle.known:
            say(f"{label} is in the queue already: job {handle.job}")
        else:
            say(f"{label} is submitted: job {handle.job}")
        outcome.elsewhere.append(label)
    if handles:
        say(f"where it stands: frostline study status {folder}")
        say(f"what it says:    frostline study logs {folder} --follow")
        say(f"to stop it:      frostline study cancel {folder}")
    return outcome


def _job_of(order: Order, settings: SlurmSettings) -> Any:
    from frostline.studies.executors.slurmjob import SlurmRun

    return SlurmRun(order, settings.stage_data)
