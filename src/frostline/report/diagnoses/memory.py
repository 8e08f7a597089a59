"""Runs that did not fit into memory, or fitted only with a smaller batch."""

from __future__ import annotations

import re
from typing import Any

from frostline.report.diagnoses.facts import Facts, RunFacts
from frostline.report.diagnoses.model import Diagnosis

NOMINAL_BATCH = 64
"""Ultralytics' `nbs`: gradients of smaller batches are gathered until so many images were seen."""
SMALL_SIDE = 320
"""Pixels; a smaller image is not advised below."""

_NO_MEMORY = re.compile(
    r"out of memory|OutOfMemory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_INTERNAL_ERROR|unable to find an engine|"
    r"MemoryError|cannot allocate memory|can't allocate memory|not enough memory",
    re.IGNORECASE,
)  # the middle three are how cuDNN and cuBLAS word it; Ultralytics takes them for it too


def out_of_memory(facts: Facts) -> list[Diagnosis]:
    """Find runs that failed for want of memory, and those whose batch Ultralytics made smaller."""
    found = []
    for one in facts.runs:
        asked = _whole(one.settings.get("batch"))
        reason = str(one.record.get("reason") or "")
        if _NO_MEMORY.search(reason):
            detail = f"it stopped with: {reason[:200]}" + (f" (batch {asked})" if asked else "")
            found.append(one.says("out-of-memory", "error", "Out of memory", detail, *_advice(one, asked)))
            continue
        taken = [batch for stage in one.stages if (batch := stage.count("batch")) is not None]
        if asked is not None and asked > 0 and taken and min(taken) < asked:
            detail = (
                f"batch {asked} did not fit and Ultralytics trained with {min(taken)}; arms that were not cut trained "
                "with other batches"
            )
            title = "The batch was cut for want of memory"
            found.append(one.says("out-of-memory", "warning", title, detail, *_advice(one, min(taken) * 2)))
    return found


def _advice(one: RunFacts, batch: int | None) -> list[str]:
    settings, advice = one.settings, []
    if batch is not None and batch > 1:
        half, seen = batch // 2, max(_whole(settings.get("nbs")) or NOMINAL_BATCH, batch)
        advice.append(
            f"batch={half} nbs={seen} for every arm: a step then gathers the gradients of {round(seen / half)} batches"
        )
    if one.precision == "fp32":
        advice.append("precision=auto: activations in half precision, where the device has it")
    size = _whole(one.record.get("imgsz") or settings.get("imgsz"))
    if size and size > SMALL_SIDE:
        advice.append(f"imgsz={size * 3 // 4 // 32 * 32}, not {size}, for every arm; small objects suffer from it")
    advice.append("freeze more of the first layers: what they compute need not be kept for gradients")
    return advice


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
