"""What the rules look at: the files of a run, read once. A file that is missing or broken is a fact that is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import polars as pl
import yaml

from frostline.analysis import METRICS, Evidence, RunFolder
from frostline.errors import InputError
from frostline.files import MOST_YAML_BYTES, parse_yaml, read_bounded, read_json
from frostline.report.diagnoses.model import Diagnosis, Severity

FITNESS = "mAP50-95"
"""What Ultralytics chooses the best checkpoint by."""

_LARGEST_LOG = 4_000_000  # bytes: a log of a long run is below, and a foreign file is not read into memory
_SUMMARY = re.compile(r"^\[(?P<tag>[^\]]*)\] (?P<counts>trainable_params=\d+ .*bn_train=\d+.*)$", re.MULTILINE)


@dataclass(frozen=True)
class StageFacts:
    """One stage of a run.

    Attributes:
        number: from 1.
        record: its part of `run.json`; empty where that has none.
        arguments: its `args.yaml`.
        curve: (epochs,) mAP50-95; None where an epoch has none.
        first: the run's epoch that its first is, from 1.
    """

    number: int
    record: Mapping[str, Any]
    arguments: Mapping[str, Any]
    curve: tuple[float | None, ...]
    first: int = 1

    @property
    def best(self) -> float | None:
        """mAP50-95 of its best checkpoint: as evaluated again, else the curve's highest."""
        metrics = self.record.get("metrics")
        value = metrics.get(f"ultralytics/{FITNESS}") if isinstance(metrics, Mapping) else None
        return float(value) if _is_number(value) else max(self.values, default=None)

    @property
    def values(self) -> list[float]:
        """The curve without epochs that have no value."""
        return [value for value in self.curve if value is not None]

    def count(self, key: str) -> int | None:
        """Return a whole number of its record, or None."""
        value = self.record.get(key)
        return int(value) if _is_number(value) else None


@dataclass(frozen=True)
class RunFacts:
    """One run.

    Attributes:
        run: its folder.
        counts: whether its numbers are final.
    """

    run: RunFolder
    counts: bool

    @property
    def label(self) -> str:
        """Arm and seed."""
        return self.run.arm if self.run.seed is None else f"{self.run.arm}, seed {self.run.seed}"

    def says(self, code: str, severity: Severity, title: str, detail: str, *try_: str) -> Diagnosis:
        """Make a diagnosis of this run."""
        return Diagnosis(code, severity, title, detail, try_, (self.run.arm,), (self.label,))

    @cached_property
    def faults(self) -> tuple[str, ...]:
        """Why `run.json`, `results.csv` or `args.yaml` cannot be read, a line each."""
        found = []
        for name in ("record", "results", "arguments"):
            try:
                getattr(self.run, name)
            except InputError as error:
                found.append(str(error))
        return tuple(found)

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """`run.json`; empty where there is none or it is broken."""
        try:
            return self.run.record
        except InputError:
            return {}

    @cached_property
    def arguments(self) -> Mapping[str, Any]:
        """`args.yaml`; empty where there is none or it is broken."""
        try:
            return self.run.arguments
        except InputError:
            return {}

    @cached_property
    def results(self) -> pl.DataFrame:
        """`results.csv`; no rows where there is none or it is broken."""
        try:
            results = self.run.results
        except InputError:
            results = None
        columns: dict[str, Any] = {"epoch": pl.Int64, "stage": pl.Int64, **dict.fromkeys(METRICS, pl.Float64)}
        return pl.DataFrame(schema=columns) if results is None else results

    @cached_property
    def audits(self) -> tuple[tuple[int, Mapping[str, Any]], ...]:
        """Number and audit of each stage, from `audit.json`; none where there is none or it is broken."""
        content = _json(self.run.path / "audit.json")
        stages = content.get("stages")
        if not isinstance(stages, list):
            return ((1, content),) if content else ()
        return tuple((number, one) for number, one in enumerate(stages, 1) if isinstance(one, Mapping))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The training arguments: those of `args.yaml`, and over them what `run.json` says was asked for."""
        asked = self.record.get("settings")
        return {**self.arguments, **(asked if isinstance(asked, Mapping) else {})}

    @cached_property
    def stages(self) -> tuple[StageFacts, ...]:
        """Its stages; a run of one stage, and of plain Ultralytics, is one."""
        records = [one for one in self.record.get("stages") or [] if isinstance(one, Mapping)]
        results = self.results
        numbered = results.get_column("stage").drop_nulls().unique().sort().to_list()
        if len(records) < 2 and len(numbered) < 2:
            curve = tuple(results.get_column(FITNESS).to_list())
            return (StageFacts(1, records[0] if records else {}, self.arguments, curve),)
        found, first = [], 1
        for number in range(1, max(len(records), *numbered, 1) + 1):
            rows = results.filter(pl.col("stage") == number)
            record = records[number - 1] if number <= len(records) else {}
            arguments = _yaml(self.run.path / f"stage{number}" / "args.yaml")
            found.append(StageFacts(number, record, arguments, tuple(rows.get_column(FITNESS).to_list()), first))
            first += rows.height
        return tuple(found)

    @cached_property
    def summaries(self) -> tuple[dict[str, int], ...]:
        """The lines `[tag] trainable_params=... bn_train=...` of the reference scripts, from logs in the folder."""
        found = []
        for path in sorted([*self.run.path.glob("*.log"), *self.run.path.glob("*.txt")]):
            try:
                text = path.read_text(errors="replace") if path.stat().st_size <= _LARGEST_LOG else ""
            except OSError:
                continue
            for match in _SUMMARY.finditer(text):
                found.append({key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", match["counts"])})
        return tuple(found)

    @property
    def epochs(self) -> int | None:
        """Epochs that were asked for, of all stages together."""
        planned = [stage.record.get("epochs") for stage in self.stages]
        known = [int(one) for one in planned if _is_number(one)]
        if len(known) == len(planned):
            return sum(known)
        value = self.settings.get("epochs")
        return int(value) if _is_number(value) else None

    @property
    def precision(self) -> str:
        """What the network was computed in: `fp32`, `bf16` or `fp16`; by `amp` for a run of plain Ultralytics."""
        arithmetic = self.record.get("arithmetic")
        if isinstance(arithmetic, Mapping) and isinstance(arithmetic.get("precision"), str):
            return str(arithmetic["precision"])
        amp = self.settings.get("amp")
        return amp if amp in ("bf16", "fp32", "fp16") else "fp16" if amp else "fp32"

    @property
    def frozen_layers(self) -> int | None:
        """How many layers its first stage froze; None where nothing tells."""
        layers = self.record.get("frozen_layers")
        if isinstance(layers, Sequence):
            return len(layers)
        return self.run.freeze_depth if not self.faults else None


@dataclass(frozen=True)
class Facts:
    """Everything the rules look at.

    Attributes:
        evidence: what the runs tell together.
        runs: each run by itself.
    """

    evidence: Evidence
    runs: tuple[RunFacts, ...]

    @classmethod
    def of(cls, evidence: Evidence) -> Facts:
        """Take the runs of some evidence, and those that could not even be read."""
        found = [RunFacts(run, evidence.counts(run)) for run in evidence.runs]
        known = {id(run) for run in evidence.runs}
        found += [RunFacts(one.run, False) for one in evidence.left_out if id(one.run) not in known]
        return cls(evidence, tuple(found))

    @property
    def counted(self) -> tuple[RunFacts, ...]:
        """The runs whose numbers are final."""
        return tuple(one for one in self.runs if one.counts)

    def of_arm(self, arm: str) -> tuple[RunFacts, ...]:
        """Return the runs of an arm whose numbers are final."""
        return tuple(one for one in self.counted if one.run.arm == arm)


def points(value: float, signed: bool = False) -> str:
    """Write an mAP in [0, 1], or a difference of two, in points."""
    return f"{100 * value:{'+' if signed else ''}.1f}"


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_yaml(read_bounded(path, MOST_YAML_BYTES).decode("utf-8"), unique=False)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, Mapping) else {}
