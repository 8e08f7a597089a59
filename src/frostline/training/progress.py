"""What a stage must remember across a kill: written after each epoch, read when it resumes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from frostline.files import read_json, write_json
from frostline.freezing import Audit, Freeze, describe_indices
from frostline.freezing.frozen import Decision, EpochSignals
from frostline.training.intervals import Interval

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
        fresh: tensors that did not come from the checkpoint whole.
        signals: of each finished epoch, what a schedule decides by.
        intervals: of a schedule, the stretches with one trainable set.
        decisions: of a schedule, every change between two epochs.
        workers: loader processes as trained; 0 loads in the training process itself.
        teacher: fingerprint of the teacher after the last finished epoch, or None without one.
        nan_epochs: epochs (from 1) that were trained again because the loss was no number, once for each time.
        notes: what its user was told about damaged checkpoints.
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
    fresh: list[str] = field(default_factory=list)
    signals: list[EpochSignals] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    workers: int | None = None
    teacher: str | None = None
    nan_epochs: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write `progress.json` into a stage's folder, whole or not at all."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Progress | None:
        """Read a stage's `progress.json`; None where there is none or it cannot be read."""
        try:
            values = read_json(folder / FILE)
            freeze: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in values.pop("freeze").items()
            }
            values["signals"] = [EpochSignals(**_by_index(one)) for one in values.get("signals", ())]
            values["intervals"] = [Interval(**one) for one in values.get("intervals", ())]
            values["epoch_seconds"] = {int(key): float(v) for key, v in values["epoch_seconds"].items()}
            return cls(freeze=Freeze(**freeze), **values)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def forget_after(self, epoch: int) -> None:
        """Drop what was noted of epochs past the one that training resumes after."""
        self.epoch_seconds = {key: value for key, value in self.epoch_seconds.items() if key <= epoch}
        self.signals = self.signals[:epoch]
        self.decisions = [one for one in self.decisions if one["epoch"] <= epoch]
        kept = [one for one in self.intervals if one.first <= epoch]
        if kept and len(kept) < len(self.intervals):
            self.got_gradient, self.fingerprints = kept[-1].got_gradient, kept[-1].fingerprints
        self.intervals = kept
        for one in self.intervals:
            if one.last is not None and one.last >= epoch:  # it ended after the epoch that training goes on from
                one.last, one.audit = None, None

    def observe(self, epoch: int, signals: EpochSignals) -> None:
        """Note what was measured in an epoch, counted from 0; an epoch done again replaces what was noted."""
        self.signals = [*self.signals[:epoch], signals]

    def begin(self, freeze: Freeze, fingerprints: dict[str, str], epoch: int) -> None:
        """Start an interval at an epoch, counted from 0."""
        self.freeze, self.fingerprints, self.got_gradient = freeze, fingerprints, []
        self.intervals.append(Interval(epoch + 1, None, list(freeze.selected_layers), fingerprints))

    def close(self, audit: Audit, epoch: int) -> None:
        """End the running interval before an epoch, counted from 0."""
        self.intervals[-1].last, self.intervals[-1].audit = epoch, audit.to_dict()
        self.intervals[-1].got_gradient = self.got_gradient

    def decide(self, decision: Decision) -> str:
        """Note a change, and return it in words."""
        said = [
            f"{word} {describe_indices(layers)}"
            for word, layers in (("freezes", decision.frozen), ("thaws", decision.thawed))
            if layers
        ]
        words = f"{' and '.join(said)}: {decision.why}"
        self.decisions.append(
            {
                "epoch": decision.epoch + 1,
                "frozen": list(decision.frozen),
                "thawed": list(decision.thawed),
                "why": decision.why,
            }
        )
        return words


def _by_index(one: dict[str, Any]) -> dict[str, Any]:
    """Give back the whole-number keys that JSON made text of."""
    return {
        key: {int(index): float(value) for index, value in values.items()} if isinstance(values, dict) else values
        for key, values in one.items()
    }
