"""The jobs of a study in SLURM's queue: which there are, on disk; what SLURM says of them; and cancelling them.

SLURM is asked through its own programs, squeue, sacct and scancel, each called with a list of words.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.files import read_json, write_json

FOLDER = "submitted"
ASK_SECONDS = 10.0
"""Between two questions to SLURM, whose controller all users share."""

_PATIENCE_SECONDS = 60.0
_FORMAT = "%i|%T|%j|%N|%r"
_ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
    | {"PREEMPTED", "REVOKED", "TIMEOUT"}
)


class QueueError(RuntimeError):
    """SLURM could not be asked, or did not do what it was asked for."""


@dataclass(frozen=True)
class JobState:
    """What SLURM says of a job.

    Attributes:
        job: its number, and that in its array: `123_4`.
        state: SLURM's word, such as `PENDING`.
        name: of the job.
        nodes: it is on, or empty.
        reason: why it waits, or empty.
    """

    job: str
    state: str
    name: str
    nodes: str = ""
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it is in the queue: waiting, running, or on its way from one to the other."""
        return self.state not in _ENDED

    @property
    def waiting(self) -> bool:
        """Whether it has no node."""
        return self.active and not self.nodes

    def __str__(self) -> str:
        """Say where it stands: `job 123_4 is pending (Resources)`."""
        word = self.state.lower().replace("_", " ")
        if not self.active:
            return f"job {self.job} ended: {word}" + (f" on {self.nodes}" if self.nodes else "")
        why = self.reason if self.waiting and self.reason not in ("", "None") else ""
        return f"job {self.job} is {word}" + (f" on {self.nodes}" if self.nodes else f" ({why})" if why else "")


def parse_squeue(text: str) -> dict[str, JobState]:
    """Read what squeue prints in our format, a line a job."""
    found = {}
    for line in text.splitlines():
        parts = line.strip().split("|", 4)
        if len(parts) == 5:
            job, state, name, nodes, reason = (part.strip() for part in parts)
            found[job] = JobState(job, state, name, nodes, reason)
    return found


def parse_sacct(text: str) -> dict[str, JobState]:
    """Read what `sacct --parsable2 --format=JobID,State,JobName,NodeList` prints, a line a job."""
    found = {}
    for line in text.splitlines():
        parts = line.strip().split("|")
        if len(parts) == 4 and parts[1]:
            job, state, name, nodes = parts
            nodes = "" if nodes == "None assigned" else nodes
            found[job] = JobState(job, state.split()[0], name, nodes)  # "CANCELLED by 1000"
    return found


def ask(jobs: Collection[str]) -> dict[str, JobState]:
    """Ask SLURM for jobs, its queue first and then, for those that have left it, its accounts.

    Args:
        jobs: such as `123_4`.

    Returns:
        Those that it knows, by their numbers.

    Raises:
        QueueError: it could not be asked.
    """
    if not jobs:
        return {}
    numbers = ",".join(sorted({job.split("_")[0] for job in jobs}))
    words = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={numbers}", f"--format={_FORMAT}"]
    done = _called(words)
    if done.returncode != 0 and "Invalid job id" not in done.stderr:  # SLURM has forgotten a single job
        raise QueueError(f"squeue: {_one_line(done.stderr) or f'exit status {done.returncode}'}")
    found = parse_squeue(done.stdout)
    if any(job not in found for job in jobs):
        words = ["sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={numbers}"]
        try:
            told = _called([*words, "--format=JobID,State,JobName,NodeList"])
        except QueueError:  # a cluster need not keep accounts
            return found
        found = {**parse_sacct(told.stdout), **found}
    return found


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs.

    Raises:
        QueueError: SLURM refused.
    """
    if jobs:
        done = _called(["scancel", *jobs])
        if done.returncode != 0 and "Invalid job id" not in done.stderr:  # it has ended meanwhile
            raise QueueError(f"scancel: {_one_line(done.stderr) or f'exit status {done.returncode}'}")


def _called(words: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
    except FileNotFoundError as error:
        raise QueueError(f"there is no {words[0]} on this machine") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueueError(f"{words[0]}: {_one_line(str(error))}") from error


def _one_line(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True)
class Submission:
    """A job that a run was submitted as.

    Attributes:
        job: its number.
        name: of the job: SLURM gives numbers again after a while.
    """

    job: str
    name: str


class Submissions:
    """The jobs that the runs of a study were last submitted as, one file a run.

    Args:
        folder: the study's.
        every: seconds between two questions to SLURM.
    """

    def __init__(self, folder: Path, every: float = ASK_SECONDS) -> None:
        self.folder = folder / FOLDER
        self._every = every
        self._asked = -float("inf")
        self._known: dict[str, JobState] = {}

    def write(self, label: str, job: str, name: str) -> None:
        """Note the job of a run."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        write_json(self.folder / f"{label.replace('/', '@')}.json", {"job": job, "name": name, "submitted": when})

    def read(self) -> dict[str, Submission]:
        """Return the jobs by the labels of their runs."""
        found = {}
        for file in sorted(self.folder.glob("*@*.json")):
            try:
                record = read_json(file)
                found[file.stem.replace("@", "/")] = Submission(str(record["job"]), str(record["name"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found

    def states(self, now: bool = False) -> Mapping[str, JobState]:
        """Return what SLURM says of each run's job; of one that it has forgotten there is nothing.

        Args:
            now: ask even if it was asked a moment ago.

        Raises:
            QueueError: it could not be asked.
        """
        if now or time.monotonic() - self._asked >= self._every:
            submitted = self.read()
            told = ask({one.job for one in submitted.values()})
            self._known = {
                label: told[one.job]
                for label, one in submitted.items()
                if one.job in told and told[one.job].name == one.name
            }
            self._asked = time.monotonic()
        return self._known

    def cancel(self, labels: Collection[str]) -> list[JobState]:
        """Cancel the jobs of runs that are in the queue, and return them as they were.

        Raises:
            QueueError: SLURM could not be asked, or refused.
        """
        found = [state for label, state in self.states(now=True).items() if label in labels and state.active]
        cancel([state.job for state in found])
        return found
