"""Learning curves: `results.csv` of any Ultralytics version, and what they say about convergence."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from frostline.analysis.metrics import ALIASES, METRICS
from frostline.errors import InputError
from frostline.files import MOST_LINE_BYTES, read_bounded

logger = logging.getLogger(__name__)

_ALWAYS = pl.Schema(
    {"epoch": pl.Int64(), "stage": pl.Int64(), "time": pl.Float64(), **dict.fromkeys(METRICS, pl.Float64())}
)


_MOST_EPOCHS = 10**9


def read_results(path: Path) -> pl.DataFrame:
    """Read the `results.csv` of a training run, of old (padded names) and new Ultralytics versions alike.

    Args:
        path: the file.

    Returns:
        One row an epoch, by rising epoch. Always there: `epoch` (Int64, from 1), `stage` (Int64), `time` (Float64,
        seconds since the training started) and `METRICS` (Float64, in [0, 1]), null where the file has none. Other
        columns (losses, learning rates) keep their names without padding, as Float64. NaN and infinities become null.
        Where a resumed run wrote an epoch twice, the later row stays.

    Raises:
        InputError: the file is missing, empty, ragged, or holds something that is not a number.
    """
    header, rows = _rows(path)
    names = [ALIASES.get(name, name) for name in header]
    if "epoch" not in names or len(set(names)) != len(names):
        raise InputError(f"{path}: not a results.csv of Ultralytics; expected a column 'epoch' and no name twice")
    table = _numbers(path, names, rows)
    columns = {name: pl.Series(name, table[:, i], nan_to_null=True) for i, name in enumerate(names)}
    if columns["epoch"].null_count():
        raise InputError(f"{path}: a row without an epoch")
    for name in {"epoch", "stage"} & set(names):
        if np.nanmax(np.abs(table[:, names.index(name)]), initial=0) > _MOST_EPOCHS:
            raise InputError(f"{path}: '{name}' goes beyond {_MOST_EPOCHS:,}, which no training reaches")
    height = len(rows)
    for name, kind in _ALWAYS.items():
        columns[name] = columns.get(name, pl.Series(name, [None] * height)).cast(kind)
    order = [*_ALWAYS, *(name for name in names if name not in _ALWAYS)]
    frame = pl.DataFrame([columns[name] for name in order])
    frame = frame.unique("epoch", keep="last", maintain_order=True).sort("epoch")
    # Early versions, and the YOLOv5 repository, counted epochs from 0.
    return frame.with_columns(pl.col("epoch") + 1) if frame.item(0, "epoch") == 0 else frame


def best_epoch(results: pl.DataFrame) -> int | None:
    """Return the epoch (from 1) whose weights Ultralytics keeps as `best.pt`; None where there is no mAP50-95.

    Its fitness is mAP50-95 alone in current versions (older ones took 0.1 mAP50 + 0.9 mAP50-95). Of equal epochs the
    last one counts, as `best.pt` is written again at each epoch that equals the best.
    """
    values = results.get_column("mAP50-95")
    top = values.max()
    if top is None:
        return None
    return int(results.filter(values == top).item(-1, "epoch"))


def final_value(values: Iterable[float | None], tail: int = 5) -> float | None:
    """Return the mean of the last `tail` epochs, of fewer in a shorter run; epochs without a value are left out."""
    last = _array(values)[-tail:]
    last = last[np.isfinite(last)]
    return float(last.mean()) if last.size else None


def epochs_to_fraction(values: Sequence[float | None], fraction: float = 0.9, tail: int = 5) -> int | None:
    """Count the epochs until a metric first reaches a fraction of its final value.

    Args:
        values: (epochs,) one value an epoch from the first; None or NaN where an epoch has none.
        fraction: of the final value, in (0, 1].
        tail: the final value is the mean of this many last epochs, of all in a shorter run.

    Returns:
        The epoch (from 1) of the first crossing; None without values or when the final value is not above 0, as any
        epoch reaches a fraction of nothing.
    """
    final = final_value(values, tail)
    if final is None or final <= 0:
        return None
    with np.errstate(invalid="ignore"):
        reached = np.flatnonzero(_array(values) >= fraction * final)
    return int(reached[0]) + 1 if reached.size else None


def area_under_curve(values: Sequence[float | None]) -> float | None:
    """Return the mean height of a learning curve: the area under it by trapezoids, per epoch.

    Args:
        values: (epochs,) one value an epoch from the first; an epoch without a value is bridged by a straight line.

    Returns:
        In the unit of the values, so that curves of different lengths compare; None without values.
    """
    curve = _array(values)
    known = np.flatnonzero(np.isfinite(curve))
    if known.size < 2:
        return float(curve[known[0]]) if known.size else None
    heights, widths = curve[known], np.diff(known)
    return float(np.sum((heights[1:] + heights[:-1]) / 2 * widths) / (known[-1] - known[0]))


def epoch_seconds(results: pl.DataFrame) -> list[float]:
    """Return how long each epoch took, from the `time` column; epochs without a time are left out.

    The column counts from the start of the training. Where it falls, the training was resumed or the next stage began,
    and the count starts from zero.
    """
    times = [value for value in results.get_column("time") if value is not None]
    before = [0.0, *times][: len(times)]
    return [now - then if now >= then else now for now, then in zip(times, before, strict=True)]


def _array(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Give the header and the rows of a CSV file, stripped, all of one length."""
    try:
        text = read_bounded(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from error
    if max(map(len, text.splitlines()), default=0) > MOST_LINE_BYTES:
        raise InputError(f"{path}: a line of it is longer than {MOST_LINE_BYTES // 2**20} MiB")
    try:
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text)) if line]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error})") from error
    if len(lines) < 2:
        raise InputError(f"{path}: no epochs in it; the run stopped before its first epoch ended")
    header, rows = lines[0], lines[1:]
    if len(rows) > 1 and len(rows[-1]) < len(header) and not text.endswith("\n"):
        # Ultralytics appends in place: a kill in mid-write leaves a part of a line, and the epochs before it are good.
        logger.warning("%s: the last line was cut off and is left out", path)
        rows.pop()
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number} has {len(row)} values for {len(header)} columns")
    return header, rows


def _numbers(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Convert (epochs, columns) words to numbers; what is empty or infinite becomes NaN."""
    table = np.full((len(rows), len(names)), math.nan)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            try:
                table[i, j] = float(cell) if cell else math.nan
            except ValueError:
                raise InputError(f"{path}: '{cell}' in row {i + 2}, column '{names[j]}' is not a number") from None
    table[~np.isfinite(table)] = math.nan
    return table
