"""`gradients.csv`: what each layer's gradient was in every epoch, a row an epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

GRADIENTS = "gradients.csv"


def append_gradients(
    path: Path, epoch: int, norms: Mapping[int, float], weights: Mapping[int, float], total: int
) -> None:
    """Write an epoch's row: `layer_i`, the mean gradient L2 norm over its steps, and `relative_i`.

    The relative norm is that mean over the L2 norm of the same trainable tensors at the end of the epoch, as Lee et al.
    (*Surgical Fine-Tuning Improves Adaptation to Distribution Shifts*, ICLR 2023) rank layers by. A layer that is
    frozen has empty cells, one whose gradients were finite at no step has `nan`.

    Args:
        path: the file; made with its header if missing. One that was begun without relative norms goes on without.
        epoch: from 1.
        norms: by layer; see `FreezeWatch.epoch_gradient_norms`.
        weights: by layer; see `FreezeWatch.weight_norms`.
        total: number of layers.
    """
    cells = {f"layer_{index}": f"{norm:.6g}" for index, norm in norms.items()}
    for index, norm in norms.items():
        if math.isnan(norm) or weights.get(index, 0.0) > 0:
            cells[f"relative_{index}"] = f"{norm / (weights.get(index) or 1.0):.6g}"
    columns = ["epoch", *(f"{kind}_{index}" for kind in ("layer", "relative") for index in range(total))]
    with path.open("a+", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if stream.tell() == 0:
            writer.writerow(columns)
        else:
            stream.seek(0)
            columns = stream.readline().strip().split(",")
        writer.writerow([epoch, *(cells.get(column, "") for column in columns[1:])])
