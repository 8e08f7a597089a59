"""The report: everything that some runs say, gathered once and then written as a page, figures, tables and JSON."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from frostline import __version__
from frostline.analysis.evidence import DRAWS, Evidence, gather
from frostline.analysis.inference import ONE_POINT
from frostline.analysis.intervals import Method
from frostline.analysis.panels import Advance
from frostline.analysis.runs import find_runs
from frostline.analysis.words import Frames, WordedVerdict, word
from frostline.errors import InputError, did_you_mean
from frostline.report.diagnoses import Diagnosis, diagnose
from frostline.report.maintables import answer_tables, cost_tables, curve_tables, main_table
from frostline.report.methods import Methods, methods
from frostline.report.model import Chart, Table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What some runs say together.

    Attributes:
        evidence: the runs, scored on the same draws of images.
        title: of the page.

    Example:
        >>> import frostline as fl
        >>> report = fl.Report.from_study("runs/depth")  # doctest: +SKIP
        >>> print(report.verdict.text)  # doctest: +SKIP
        >>> report.frame("arms")  # a polars frame  # doctest: +SKIP
        >>> report.write("runs/depth/report")  # doctest: +SKIP
    """

    evidence: Evidence
    title: str

    @classmethod
    def from_study(cls, study: Any, **options: Any) -> Report:
        """Report on the study in a folder.

        Args:
            study: the folder of a study, or a `Study`.
            options: see `from_runs`.

        Raises:
            InputError: see `from_runs`.
        """
        return cls.from_runs([getattr(study, "folder", study)], **options)

    @classmethod
    def from_runs(
        cls,
        folders: Iterable[Path | str],
        *,
        baseline: str | None = None,
        draws: int = DRAWS,
        confidence: float = 0.95,
        method: Method = "percentile",
        include_unfinished: bool = False,
        title: str | None = None,
        advance: Advance = lambda *_: None,
    ) -> Report:
        """Report on the runs under some folders.

        Args:
            folders: study, arm, run and plain Ultralytics folders, in any mix.
            baseline: the arm to compare with; by default the one called `baseline`, else the one that freezes nothing.
            draws: of validation images, for the bootstrap.
            confidence: of all intervals, in (0, 1).
            method: of all intervals, `percentile` or `bca`.
            include_unfinished: let runs count that are running, failed or interrupted.
            title: of the page; by default the study's name.
            advance: told how far it is; see `Advance`.

        Raises:
            InputError: a folder without results, a file that cannot be read, an unknown arm, or options out of range.
        """
        given = [Path(folder) for folder in folders]
        evidence = gather(
            find_runs(given), baseline=baseline, draws=draws, confidence=confidence, method=method,
            include_unfinished=include_unfinished, advance=advance,
        )  # fmt: skip
        name = str(evidence.study.get("name") or ", ".join(path.resolve().name for path in given[:3]))
        return cls(evidence, title or name)

    @cached_property
    def frames(self) -> Frames:
        """The frames that the verdict is worded from."""
        return Frames.of(self.evidence)

    @cached_property
    def verdict(self) -> WordedVerdict:
        """The answer in words, made from the numbers and only from them."""
        return word(self.evidence, self.frames)

    @cached_property
    def diagnoses(self) -> list[Diagnosis]:
        """What a reader must know, most serious first."""
        return diagnose(self.evidence)

    @cached_property
    def methods(self) -> Methods:
        """How the runs came about."""
        return methods(self.evidence)

    @cached_property
    def main(self) -> Table:
        """The main table: a row an arm."""
        return main_table(self.evidence, self.frames)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table by name, the main one (`arms`) first."""
        from frostline.report.parts import TABLES

        made = [
            self.main,
            *answer_tables(self.evidence, self.frames),
            *curve_tables(self.frames),
            *cost_tables(self.frames),
        ]
        for build in TABLES:
            made += build(self.evidence)
        return {table.name: table for table in made}

    @cached_property
    def charts(self) -> list[Chart]:
        """Every chart, not drawn yet."""
        from frostline.report.parts import charts

        return charts(self.evidence, self.verdict.frost_line)

    def frame(self, name: str) -> pl.DataFrame:
        """Return the numbers of a table in full.

        Args:
            name: one of `tables`.

        Raises:
            InputError: there is no such table.
        """
        if name not in self.tables:
            raise InputError(f"no table '{name}'{did_you_mean(name, self.tables)}; there are {', '.join(self.tables)}")
        return self.tables[name].frame

    def as_json(self) -> dict[str, Any]:
        """Give everything as plain values: verdict, tables, diagnoses, methods, and what was left out."""
        line = self.verdict.frost_line
        return {
            "schema": 1,
            "frostline": __version__,
            "title": self.title,
            "verdict": {
                "headline": self.verdict.headline,
                "sentences": list(self.verdict.sentences),
                "cautions": list(self.verdict.cautions),
            },
            "frost_line": None if line is None else vars(line),
            "options": {
                "baseline": self.evidence.baseline,
                "confidence": self.evidence.confidence,
                "method": self.evidence.method,
                "draws": self.evidence.draws,
                "include_unfinished": self.evidence.include_unfinished,
                "margin": ONE_POINT,
            },
            "arms": list(self.evidence.arms),
            "left_out": [{"run": str(one.run.path), "reason": one.reason} for one in self.evidence.left_out],
            "diagnoses": [{**vars(one), "anchor": one.anchor} for one in self.diagnoses],
            "methods": self.methods,
            "tables": {
                name: {"title": table.title, "note": table.note, "rows": table.frame.to_dicts()}
                for name, table in self.tables.items()
            },
            "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def write(self, folder: Path | str, advance: Advance = lambda *_: None) -> Path:
        """Write the page, the figures, the tables and `report.json`.

        Args:
            folder: new, empty, or one that holds an earlier report, which is replaced.
            advance: told how far it is; see `Advance`.

        Returns:
            The page, `index.html`.

        Raises:
            InputError: the folder holds something else, or cannot be written.
        """
        from frostline.report.writing import write_report

        return write_report(self, Path(folder), advance)
