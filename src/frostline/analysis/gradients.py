"""Gradient norms by layer and epoch, read from a run folder's `gradients.csv`, old or new, of one stage or several."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.runs import RunFolder
from frostline.errors import InputError
from frostline.files import read_lines

GRADIENTS = "gradients.csv"
_COLUMN = re.compile(r"(layer|relative)_(\d+)")


@dataclass(frozen=True, eq=False)
class GradientTable:
    """What a run's gradients were.

    Attributes:
        arm: of the run.
        seed: of the run, or None.
        norm: (layers, epochs) mean gradient L2 norm of an epoch's steps; NaN where there is none.
        relative: (layers, epochs) the same over the L2 norm of the layer's trainable weights; None in files that were
            written before there was one.
        measured: (epochs,) whether anything was written for the epoch; a layer without a value in such an epoch did
            not train.
        silent: (layers, epochs) layers that trained without a finite gradient.
        stages: first epoch of every stage after the first, from 1.
    """

    arm: str
    seed: int | None
    norm: NDArray[np.float64]
    relative: NDArray[np.float64] | None
    measured: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    stages: tuple[int, ...]

    @property
    def name(self) -> str:
        """The arm, with the seed where there is one."""
        return self.arm if self.seed is None else f"{self.arm}, seed {self.seed}"

    def values(self, relative: bool) -> NDArray[np.float64] | None:
        """Return the relative norms or the norms."""
        return self.relative if relative else self.norm

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, a row of numbers or nulls for each layer."""
        kinds = {"norm": self.norm, "relative": self.relative}
        rows = {
            kind: None if table is None else [[x if math.isfinite(x) else None for x in row] for row in table.tolist()]
            for kind, table in kinds.items()
        }
        return {"arm": self.arm, "seed": self.seed, "epochs": len(self.measured), "stages": list(self.stages), **rows}


def read_gradients(run: RunFolder) -> GradientTable:
    """Read a run's gradients: of the run, or of the stages of one that is still going.

    Epochs that `results.csv` has and the gradients do not are kept, without values.

    Raises:
        InputError: there is no such file, or it is another table.
    """
    files = [run.path / GRADIENTS]
    if not files[0].is_file():
        files = sorted(run.path.glob(f"stage*/{GRADIENTS}"), key=lambda file: int(file.parent.name[5:] or 0))
    if not files:
        raise InputError(
            f"{run.path}: has no {GRADIENTS}; Frostline writes one as it trains, plain Ultralytics does not"
        )
    rows: list[dict[str, str]] = []
    for file in files:
        before = int(rows[-1]["epoch"]) if rows else 0
        for row in _rows(file):
            rows.append({"stage": file.parent.name, **row, "epoch": str(int(row["epoch"]) + before)})
    return _table(run, rows, files[0])


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        rows = [
            {str(key).strip(): (value or "").strip() for key, value in row.items() if key}
            for row in csv.DictReader(read_lines(path))
        ]
        whole = [row for row in rows if row.get("epoch", "").isdigit() and int(row["epoch"]) > 0]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    if not whole or "layer_0" not in whole[0]:
        raise InputError(
            f"{path}: no table of gradients; expected columns epoch, layer_0, layer_1, ... and a row an epoch"
        )
    return whole


def _table(run: RunFolder, rows: Sequence[Mapping[str, str]], path: Path) -> GradientTable:
    columns = [match for name in rows[0] if (match := _COLUMN.fullmatch(name))]
    layers = 1 + max(int(match[2]) for match in columns)
    epochs = max(int(row["epoch"]) for row in rows)
    if run.results is not None and "epoch" in run.results.columns and run.results.height:
        epochs = max(epochs, int(run.results["epoch"].max()))  # type: ignore[arg-type]
    kinds = {match[1] for match in columns}
    tables = {kind: np.full((layers, epochs), np.nan) for kind in ("layer", "relative")}
    silent, measured = np.zeros((layers, epochs), bool), np.zeros(epochs, bool)
    stages: list[int] = []
    for place, row in enumerate(rows):
        epoch = int(row["epoch"])
        if place and row.get("stage") != rows[place - 1].get("stage"):
            stages.append(epoch)
        for match in columns:
            cell = row.get(match[0], "")
            if not cell:
                continue
            try:
                value = float(cell)
            except ValueError:
                raise InputError(f"{path}: '{cell}' in column {match[0]}, epoch {epoch}: expected a number") from None
            measured[epoch - 1] = True
            if math.isfinite(value):
                tables[match[1]][int(match[2]), epoch - 1] = value
            else:
                silent[int(match[2]), epoch - 1] = True
    relative = tables["relative"] if "relative" in kinds else None
    return GradientTable(run.arm, run.seed, tables["layer"], relative, measured, silent, tuple(stages))
