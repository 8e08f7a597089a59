"""What every executor is: it takes runs, and gives a handle on each."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from frostline.studies.logs import log_of
from frostline.studies.planned import PlannedRun
from frostline.training import Run

State = Literal["waiting", "running", "finished", "failed", "taken", "interrupted"]
ENDED: frozenset[State] = frozenset({"finished", "failed", "taken", "interrupted"})


@dataclass(frozen=True)
class Order:
    """A run as it is handed to a process: plain values, so that it can be sent anywhere.

    Attributes:
        study: the study's folder, absolute; every machine sees it under this path.
        arm: of the run.
        seed: of the run.
        folder: the run's.
        epochs: of the run, all stages together.
        device: `cpu`, `mps`, a GPU's number, or None to let the executor or the run choose.
        trust: open checkpoints without the restricted loader.
        track: the tracker that keeps it, or None.
    """

    study: Path
    arm: str
    seed: int
    folder: Path
    epochs: int
    device: str | None = None
    trust: bool = False
    track: str | None = None

    @classmethod
    def of(cls, planned: PlannedRun, study: Path, device: str | None, track: str | None = None) -> Order:
        """Make the order of a run of a study."""
        spec = planned.spec
        there = study.absolute()
        return cls(there, spec.arm, spec.seed, planned.folder.absolute(), spec.epochs, device, spec.trust, track)

    @property
    def label(self) -> str:
        """`arm/seed0`."""
        return f"{self.arm}/seed{self.seed}"

    @property
    def log(self) -> Path:
        """Where it says how it goes."""
        return log_of(self.study, self.label)

    def words(self, device: str | None = None, python: str | None = None) -> list[str]:
        """Return the command that carries it out, as a list: no shell ever reads it.

        Args:
            device: in place of its own.
            python: interpreter; this one by default.
        """
        device = device if device is not None else self.device
        return [
            python or sys.executable, "-m", "frostline.studies.worker", str(self.study), self.arm, str(self.seed),
            *([] if device is None else ["--device", device]), *(["--trust-checkpoint"] if self.trust else []),
            *([] if self.track is None else ["--track", self.track]),
        ]  # fmt: skip


class Handle(ABC):
    """A run that was submitted.

    Args:
        order: the run.
    """

    def __init__(self, order: Order) -> None:
        self.order = order

    @property
    def log(self) -> Path:
        """Where it says how it goes; it may not exist yet."""
        return self.order.log

    @property
    @abstractmethod
    def state(self) -> State:
        """Where it stands. `taken`: another process carries it out."""

    @property
    @abstractmethod
    def reason(self) -> str | None:
        """Why it failed, or None."""

    @abstractmethod
    def wait(self, seconds: float | None = None) -> State:
        """Wait until it has ended, or for so long, and return its state."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask it to stop after what it is doing; what was saved is kept."""


class Executor(Protocol):
    """Carries runs out somewhere.

    Attributes:
        device: a device that its runs are on, or None where it is not known on this machine.
    """

    device: str | None

    def submit(self, order: Order) -> Handle:
        """Take a run; it begins when there is room."""

    def describe(self) -> str:
        """Say where runs are carried out, in one line."""

    def close(self) -> None:
        """Stop what is still running, within ten seconds, and give everything back."""


def reason_of(order: Order, otherwise: str) -> str:
    """Return why a run failed: as its record says, else what its executor saw, with the log to look into."""
    run = Run.open(order.folder)
    if run is not None and run.status == "failed" and run.record.get("reason"):
        return str(run.record["reason"])
    return f"{otherwise}; see {order.log}"
