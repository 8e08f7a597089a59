"""Where the runs of a study stand, from what is on disk."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.studies.claims import Claims
from frostline.studies.planned import PlannedRun, saved_progress
from frostline.training import Run
from frostline.training.record import RECORD


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        arm: its arm.
        seed: its seed.
        status: `waiting`, `running`, `interrupted` (asked to stop, or killed), `failed` or `finished`.
        epochs_done: epochs saved.
        epochs: epochs in all.
        map50: of the best checkpoint of a finished run, else None.
        audit: `PASS`, `FAIL` or None.
        reason: why it failed, or None.
        folder: its folder.
        epoch_seconds: median of the epochs saved, or None.
        by: who carries it out now, or None.
    """

    arm: str
    seed: int
    status: str
    epochs_done: int
    epochs: int
    map50: float | None
    audit: str | None
    reason: str | None
    folder: Path
    epoch_seconds: float | None = None
    by: str | None = None

    @property
    def label(self) -> str:
        """`arm/seed0`."""
        return f"{self.arm}/seed{self.seed}"

    @property
    def seconds_left(self) -> float | None:
        """Seconds that its epochs to come will take, if they take as long as those before; None before the first."""
        if self.status == "finished":
            return 0.0
        return None if self.epoch_seconds is None else self.epoch_seconds * (self.epochs - self.epochs_done)


def _seconds(planned: PlannedRun, record: dict[str, Any]) -> list[float]:
    """Return the seconds of each saved epoch: of a finished run its record has them, of another the stages' memory."""
    known = record.get("epoch_seconds")
    if record.get("status") == "finished" and isinstance(known, list):
        return [float(value) for value in known]
    return [second for progress in saved_progress(planned) for second in progress.epoch_seconds.values()]


def state_of(planned: PlannedRun, claims: Claims) -> RunState:
    """Read where a run stands."""
    run = Run.open(planned.folder)
    record: dict[str, Any] = run.record if run is not None else {}
    metrics = record.get("metrics") or {}
    seconds = _seconds(planned, record)
    status, reason = str(record.get("status", "waiting")), record.get("reason")
    if run is None and (planned.folder / RECORD).is_file():
        status, reason = "failed", f"{planned.folder / RECORD} cannot be read: it is damaged"
    holder = None if status == "finished" else claims.holder(planned.label)
    if status == "running" and holder is None:
        status = "interrupted"  # it was killed before it could say so
    return RunState(
        arm=planned.spec.arm,
        seed=planned.spec.seed,
        status="running" if holder is not None else status,
        epochs_done=len(seconds),
        epochs=planned.spec.epochs,
        map50=metrics.get("ultralytics/mAP50"),
        audit=record.get("audit"),
        reason=reason,
        folder=planned.folder,
        epoch_seconds=statistics.median(seconds) if seconds else None,
        by=str(holder) if holder is not None else None,
    )
