"""A run seen from outside: its folder and record, who is told how it goes, and the error of a failed audit."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from frostline.files import read_json

logger = logging.getLogger(__name__)
RECORD = "run.json"


class Observer(Protocol):
    """Who is told how a run goes."""

    def say(self, text: str) -> None:
        """Take one line meant for the user."""

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        """Take the end of an epoch: epochs done in the whole run, epochs in all, validation metrics."""


class LoggingObserver:
    """Passes lines to the log and ignores epochs, which Ultralytics prints itself."""

    def say(self, text: str) -> None:
        """Log a line."""
        logger.info(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Run:
    """A run folder and its record.

    Attributes:
        folder: the run folder.
        record: what `run.json` holds.
    """

    folder: Path
    record: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> Run | None:
        """Read a run folder; None where there is no readable `run.json`."""
        try:
            record = read_json(Path(folder) / RECORD)
        except (OSError, ValueError):
            return None
        return cls(Path(folder), record) if isinstance(record, dict) else None

    @property
    def status(self) -> str:
        """`running`, `finished`, `failed` or `interrupted`."""
        return str(self.record.get("status", "unknown"))

    @property
    def weights(self) -> Path:
        """The best checkpoint."""
        return self.folder / "weights" / "best.pt"

    @property
    def map50(self) -> float:
        """mAP50 of the best checkpoint by Ultralytics' definition, 0 to 1."""
        return float(self.record["metrics"]["ultralytics/mAP50"])

    @property
    def map50_95(self) -> float:
        """mAP50-95 of the best checkpoint by Ultralytics' definition, 0 to 1."""
        return float(self.record["metrics"]["ultralytics/mAP50-95"])

    @property
    def audit_passed(self) -> bool:
        """Whether every check of every stage passed."""
        return self.record.get("audit") == "PASS"


class AuditError(RuntimeError):
    """A run whose audit failed: something was frozen in name only, or did not train."""


class AbandonedError(RuntimeError):
    """Another process carries the run out now. Nothing more may be written into its folder."""
