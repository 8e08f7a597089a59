"""What the commands of a study do about its jobs in SLURM's queue; nothing where it has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frostline.studies.executors.slurmqueue import JobState


class Queue:
    """The jobs of a study.

    Args:
        folder: the study's.

    Attributes:
        failed: whether jobs could not be cancelled.
    """

    def __init__(self, folder: Path) -> None:
        from frostline.studies.executors.slurmqueue import Submissions

        self._submissions = Submissions(folder)
        self._problem = ""
        self.failed = False

    def _states(self, now: bool = False) -> Mapping[str, JobState]:
        from frostline.studies.executors.slurmqueue import QueueError

        try:
            self._problem = ""
            return self._submissions.states(now)
        except QueueError as error:
            self._problem = f"SLURM's queue cannot be read: {error}"
            return {}

    @property
    def active(self) -> bool:
        """Whether a job is in the queue; SLURM is asked every ten seconds at most."""
        return any(state.active for state in self._states().values())

    def lines(self) -> list[str]:
        """Say of each job where it stands, but for those that ended well."""
        told = [f"{label}: {state}" for label, state in self._states().items() if state.state != "COMPLETED"]
        return told + ([self._problem] if self._problem else [])

    def to_dict(self, label: str) -> dict[str, Any] | None:
        """Return what SLURM says of a run's job, as plain data."""
        state = self._states().get(label)
        return None if state is None else {**vars(state), "active": state.active}

    def cancel_waiting(self) -> list[str]:
        """Take out of the queue what waits in it, and say so. What runs is asked to stop by other means first."""
        return self._cancel(lambda state: state.waiting)

    def cancel_rest(self) -> list[str]:
        """End every job that is left, and say so."""
        return [] if self.failed else self._cancel(lambda state: state.active and state.state != "COMPLETING")

    def _cancel(self, wanted: Callable[[JobState], bool]) -> list[str]:
        from frostline.studies.executors.slurmqueue import QueueError

        try:
            labels = {label for label, state in self._submissions.states(now=True).items() if wanted(state)}
            return [
                f"cancelled job {one.job}, which was {one.state.lower()}" for one in self._submissions.cancel(labels)
            ]
        except QueueError as error:
            self.failed = True
            return [f"the jobs of this study are not cancelled: {error}"]


def queue_of(folder: Path) -> Queue:
    """Return the jobs of a study, read now."""
    queue = Queue(folder)
    queue.lines()
    return queue
