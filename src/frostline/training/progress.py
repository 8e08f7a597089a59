"""What a stage must remember across a kill: written after each epoch, read when it resumes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from frostline.files import write_json
from frostline.freezing import Freeze

FILE = "progress.json"


@dataclass
class Progress:
    """The memory of a stage.

    Attributes:
        freeze: what is frozen in it, as resolved when it began.
        transfer: tensors loaded, tensors in all, and the checkpoint's name.
        fingerprints: of every frozen tensor at the start.
        got_gradient: trainable tensors that have had a gradient.
        epoch_seconds: wall seconds of each finished epoch, by its number from 1: training, validation, checkpoint.
        best_epoch: the epoch that `best.pt` is from, from 1.
        seeds: of every generator.
        resumed_at: epochs (from 1) at which the stage was taken up again after an interruption.
        batch: images a batch as trained; lower than asked for where memory ran out.
        workers: loader processes as trained; 0 loads in the training process itself.
    """

    freeze: Freeze
    transfer: dict[str, Any]
    fingerprints: dict[str, str] = field(default_factory=dict)
    got_gradient: list[str] = field(default_factory=list)
    epoch_seconds: dict[int, float] = field(default_factory=dict)
    best_epoch: int | None = None
    seeds: dict[str, int] = field(default_factory=dict)
    resumed_at: list[int] = field(default_factory=list)
    batch: int | None = None
    workers: int | None = None

    def save(self, folder: Path) -> None:
        """Write `progress.json` into a stage's folder, whole or not at all."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Progress | None:
        """Read a stage's `progress.json`; None where there is none or it cannot be read."""
        try:
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
            freeze: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in values.pop("freeze").items()
            }
            values["epoch_seconds"] = {int(key): float(v) for key, v in values["epoch_seconds"].items()}
            return cls(freeze=Freeze(**freeze), **values)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def forget_after(self, epoch: int) -> None:
        """Drop what was noted of epochs past the one that training resumes after."""
        self.epoch_seconds = {key: value for key, value in self.epoch_seconds.items() if key <= epoch}
