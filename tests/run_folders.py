"""Small run folders on disk, of this project and of old and new Ultralytics versions, with numbers known in advance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NEW_HEADER = (
    "epoch,time,train/box_loss,train/cls_loss,train/dfl_loss,metrics/precision(B),metrics/recall(B),"
    "metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss,val/cls_loss,val/dfl_loss,lr/pg0,lr/pg1,lr/pg2"
)
OLD_NAMES = [name for name in NEW_HEADER.split(",") if name != "time"]


def new_ultralytics(folder: Path, map50: Sequence[float], seconds: float = 10.0, **args: Any) -> Path:
    """Write a folder as Ultralytics 8.4 does: plain column names, a `time` column, `BoxPR_curve.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [NEW_HEADER]
    for epoch, value in enumerate(map50, start=1):
        numbers = [epoch, seconds * epoch, 1.5, 2.5, 1.1, value + 0.1, value - 0.05, value, value / 2, 1.6, 2.6, 1.2]
        lines.append(",".join(f"{number:.6g}" for number in [*numbers, 0.01, 0.01, 0.01]))
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    (folder / "BoxPR_curve.png").write_bytes(b"")
    write_args(folder, **args)
    return folder


def old_ultralytics(folder: Path, map50: Sequence[float], first_epoch: int = 1, **args: Any) -> Path:
    """Write a folder as Ultralytics 8.0 did: padded column names and values, no `time`, `PR_curve.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["".join(f"{name:>23}," for name in OLD_NAMES).rstrip(",")]
    for epoch, value in enumerate(map50, start=first_epoch):
        numbers = [epoch, 1.5, 2.5, 1.1, value + 0.1, value - 0.05, value, value / 2, 1.6, 2.6, 1.2, 0.01, 0.01, 0.01]
        lines.append("".join(f"{number:>23.5g}," for number in numbers).rstrip(","))
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    (folder / "PR_curve.png").write_bytes(b"")
    write_args(folder, **args)
    return folder


def write_args(folder: Path, freeze: Any = None, seed: int = 0) -> None:
    (folder / "args.yaml").write_text(
        f"task: detect\nmode: train\nepochs: 3\nfreeze: {json.dumps(freeze)}\nseed: {seed}\nlr0: 0.01\n"
    )


def our_run(
    folder: Path,
    arm: str,
    map50: Sequence[float],
    *,
    seed: int = 0,
    depth: int | None = None,
    status: str = "finished",
    stages: Sequence[int] = (),
    per_class: Mapping[str, float] | None = None,
    **record: Any,
) -> Path:
    """Write a run folder of this project: an Ultralytics one and `run.json`.

    The best epoch is the one with the highest value; `map50` fills results.csv. In `run.json` everything is a little
    higher (0.01), as it was measured again from the best checkpoint: a test sees from which file a number is.
    """
    new_ultralytics(folder, map50)
    if stages:
        path = folder / "results.csv"
        header, *rows = path.read_text().splitlines()
        numbers = [stage for stage, length in enumerate(stages, start=1) for _ in range(length)]
        lines = [f"{row},{number}" for row, number in zip(rows, numbers, strict=True)]
        path.write_text("\n".join([header + ",stage", *lines]) + "\n")
    per_class = {"Car": 0.6, "Pedestrian": 0.3, "Cyclist": 0.2} if per_class is None else per_class
    best = max(map50) + 0.01
    run = {
        "schema": 1,
        "frostline": "0.1.0",
        "arm": arm,
        "seed": seed,
        "status": status,
        "freeze_depth": depth,
        "names": {str(index): name for index, name in enumerate(per_class)},
        "parameters": {"total": 100, "trainable": 90, "frozen": 10},
        "best": {"stage": 1, "epoch": list(map50).index(max(map50)) + 1, "weights": "weights/best.pt"},
        "metrics": {
            "ultralytics/mAP50": best,
            "ultralytics/mAP50-95": best / 2,
            "ultralytics/precision": 0.7,
            "ultralytics/recall": 0.5,
            "coco/mAP50": best - 0.02,
            "coco/mAP50-95": best / 2 - 0.02,
            "coco/AP_small": 0.05,
            "coco/AP_medium": 0.15,
            "coco/AP_large": None,
        },
        "per_class": {name: {"ultralytics/AP50": value} for name, value in per_class.items()},
        "train_split": {"images": 80, "ultralytics/mAP50": 0.9, "ultralytics/mAP50-95": best / 2 + 0.125},
        "epoch_seconds": [9.0, 4.0, 5.0],
        "wall_seconds": 20.0,
        "peak_memory": {"rss_bytes": 2**31, "cuda_bytes": None},
        "audit": "PASS",
        **record,
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder
