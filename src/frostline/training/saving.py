"""A stage's files on disk, each whole at any moment: checkpoints, and CSV files cut back to what a checkpoint knows."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ultralytics.utils.torch_utils import strip_optimizer

from frostline.files import write_bytes, write_text, written_beside
from frostline.training.machine import hushed

PREVIOUS = "previous.pt"
"""The checkpoint before the last one, beside it."""


class Whole(type(Path())):  # type: ignore[misc]
    """A path whose `write_bytes` leaves the old file or the new one, never a part."""

    def write_bytes(self, data: Any) -> int:
        """Write beside and rename."""
        write_bytes(Path(str(self)), data)
        return len(data)


class WholeKeepingOne(Whole):
    """The same, and the file that was there before stays beside it."""

    def write_bytes(self, data: Any) -> int:
        """Link the old file to its second name, then write beside and rename."""
        here = Path(str(self))
        if here.exists():
            with written_beside(here.with_name(PREVIOUS)) as beside:
                beside.unlink()
                os.link(here, beside)
        return super().write_bytes(data)


def strip_checkpoints(folder: Path) -> None:
    """Strip the optimizer from `last.pt` and `best.pt`, each replaced whole, and remove what only a resume needs."""
    last, best = folder / "last.pt", folder / "best.pt"
    results: dict[str, Any] = {}
    if last.exists():
        with hushed(), written_beside(last) as beside:
            results = strip_optimizer(last, s=str(beside))
    if best.exists():
        with hushed(), written_beside(best) as beside:
            # best.pt gets the whole curve, as Ultralytics does it
            strip_optimizer(best, s=str(beside), updates={"train_results": results.get("train_results")})
    (folder / PREVIOUS).unlink(missing_ok=True)
    remove_side_files(folder)


def remove_side_files(folder: Path, keep: Collection[int] = ()) -> None:
    """Remove what `training.exact` wrote after epochs (from 0) other than those to keep."""
    kept = {side_file(folder, epoch) for epoch in keep}
    for path in folder.glob("exact-*.pt"):
        if path not in kept:
            path.unlink(missing_ok=True)


def side_file(folder: Path, epoch: int) -> Path:
    """Name what `training.exact` writes beside the checkpoint of an epoch, counted from 0."""
    return folder / f"exact-{epoch + 1}.pt"


def trim_rows(path: Path, epoch: int) -> None:
    """Keep a CSV's header and its rows up to an epoch (first column, from 1); a torn last row goes too."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    columns = lines[0].count(",") if lines else 0
    kept = lines[:1]
    for line in lines[1:]:
        first = line.split(",", 1)[0].strip()
        if line.count(",") == columns and first.isdigit() and int(first) <= epoch:
            kept.append(line)
    write_text(path, "".join(f"{line}\n" for line in kept))


def last_time(path: Path) -> float:
    """Return the `time` of a results.csv's last row, in seconds; 0 where there is none."""
    if not path.is_file():
        return 0.0
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(stream)]
    return float(rows[-1].get("time", 0.0)) if rows else 0.0
