"""Runs whose batch was cut for want of memory: they learned with another one than they were to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from frostline.analysis.runs import RunFolder


def cut_batches(runs: Sequence[RunFolder]) -> list[str]:
    """Word a warning for each run that trained with a smaller batch than was asked for.

    Args:
        runs: of Frostline or not; what plain Ultralytics cut is not known.
    """
    found = []
    for run in runs:
        asked, batches = run.number("settings", "batch"), _batches(run)
        if asked is not None and asked >= 1 and batches and min(batches) < asked:
            label = run.arm if run.seed is None else f"{run.arm}/seed{run.seed}"
            found.append(
                f"{label} ran out of memory and trained with batch {min(batches)}, not {asked:g}: it does not compare "
                "with runs that kept theirs"
            )
    return found


def _batches(run: RunFolder) -> list[int]:
    stages = run.value("stages")
    records = stages if isinstance(stages, list) else []
    given = [record.get("batch") for record in records if isinstance(record, Mapping)]
    return [batch for batch in given if isinstance(batch, int) and not isinstance(batch, bool)]
