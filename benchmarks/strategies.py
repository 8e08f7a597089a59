"""Every strategy against freezing nothing, with seeds and intervals, on one dataset.

One study, one arm a strategy, all of the same length. For each arm: the mean over seeds, the mean difference from the
baseline paired by seed with its 95 % t interval (n - 1 degrees of freedom), and seconds an epoch as a ratio. Started
again, it goes on where it stopped. Prints a Markdown table and writes `strategies.json` beside the study.

    python benchmarks/strategies.py --out runs/strategies                    # rendered scenes in log-chromaticity
    python benchmarks/strategies.py --out runs/k --model weights.pt --scratch yolov5n.yaml --data data.yaml --imgsz 320
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from frostline import FreezePlan, Study, train
from frostline.datasets.scenes import render_scenes
from frostline.imaging import convert_folder, parse_isd
from frostline.studies.demo import PRETRAINING
from frostline.studies.file import StudyFile
from frostline.training import Run
from frostline.training.record import LoggingObserver

METRIC = "ultralytics/mAP50-95"


def arms(epochs: int, scratch: str, teacher: str | None) -> dict[str, Any]:
    """One arm a strategy; lengths of stages and steps of schedules follow the number of epochs."""
    third = epochs // 3
    found: dict[str, Any] = {
        "baseline": {},
        "freeze_1_to_3": {"freeze": "0-2"},
        "freeze_1_to_6": {"freeze": "0-5"},
        "freeze_backbone": {"freeze": "backbone"},
        "freeze_head": {"freeze": "head"},
        "first_block_only": {"train_only": "0-2"},
        "two_stage": {"stages": [{"epochs": third, "freeze": "backbone"}, {"epochs": epochs - third}]},
        "gradual": {"freeze": "backbone,neck", "unfreeze": {"every": third, "by": "role"}},
        "freezeout": {"freezeout": {"first": 0.5}},
        "adaptive": {"adaptive": {"percentile": 50, "patience": 2}},
        "decay": {"rates": {"decay": 0.9}},
        "roles": {"rates": {"backbone": 0.1, "neck": 0.5, "head": 1.0}},
        "auto_rgn": {"rates": "auto"},
        "from_scratch": {"model": scratch},
    }
    if teacher is not None:
        found["distilled"] = {"teacher": teacher}
    return found


def scenes(folder: Path, images: int) -> tuple[str, str]:
    """Render streets, pretrain on their sRGB version, and convert the linear one to log-chromaticity."""
    summary = render_scenes(folder / "scenes", images=images, seed=0)
    pretrained = train("yolo11n.yaml", summary.srgb, FreezePlan.none(), project=folder, name="pretrain", **PRETRAINING)
    chroma = folder / "chroma"
    convert_folder(summary.linear.parent, chroma, parse_isd(str(summary.isd)), encode="log")
    return str(pretrained.weights), str(chroma / "data.yaml")


def table(runs: list[Run]) -> list[dict[str, Any]]:
    """Summarise the finished runs, an arm a row."""
    scores: dict[str, dict[int, float]] = {}
    seconds: dict[str, list[float]] = {}
    for run in runs:
        arm, seed = str(run.record["arm"]), int(run.record["seed"])
        scores.setdefault(arm, {})[seed] = 100 * float(run.record["metrics"][METRIC])
        seconds.setdefault(arm, []).append(statistics.median(run.record["epoch_seconds"]))
    base = scores["baseline"]
    rows = []
    for arm, by_seed in scores.items():
        paired = [by_seed[seed] - base[seed] for seed in by_seed if seed in base]
        half = float("nan")
        if len(paired) > 1:
            half = float(stats.t.ppf(0.975, len(paired) - 1) * np.std(paired, ddof=1) / np.sqrt(len(paired)))
        rows.append(
            {
                "arm": arm, "seeds": len(by_seed), "mean": statistics.mean(by_seed.values()),
                "difference": statistics.mean(paired), "half_width": half,
                "seconds_ratio": statistics.median(seconds[arm]) / statistics.median(seconds["baseline"]),
                "by_seed": by_seed,
            }
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", help="checkpoint; with --data")
    parser.add_argument("--scratch", default="yolo11n.yaml", help="the same model without weights")
    parser.add_argument("--teacher", help="checkpoint to distil from; without it, no such arm")
    parser.add_argument("--data", help="data.yaml; rendered scenes without")
    parser.add_argument("--images", type=int, default=120, help="scenes to render")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--imgsz", type=int, default=224)
    parser.add_argument("--lr0", type=float, default=0.001)
    parser.add_argument("--optimizer", default="AdamW")
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    model, data = (args.model, args.data) if args.data else scenes(args.out, args.images)
    file = StudyFile.parse(
        {
            "name": "strategies", "model": model, "data": data, "seeds": [int(s) for s in args.seeds.split(",")],
            "train": {
                "epochs": args.epochs, "imgsz": args.imgsz, "batch": 8, "nbs": 8, "optimizer": args.optimizer,
                "momentum": 0.9, "lr0": args.lr0, "warmup_epochs": 1.0, "close_mosaic": args.epochs // 3,
                "preset": "log-chroma", "plots": False,
            },
            "arms": arms(args.epochs, args.scratch, args.teacher),
        }
    )  # fmt: skip
    study = Study(file, args.out / "study")
    outcome = study.run(observer=LoggingObserver(), on_run=lambda n, count, run: print(f"{n}/{count} {run.label}"))
    rows = table(outcome.finished)
    (args.out / "strategies.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print("| arm | seeds | mAP50-95 | against the baseline | seconds an epoch |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row['arm']} | {row['seeds']} | {row['mean']:.1f} | {row['difference']:+.1f} ± {row['half_width']:.1f} "
            f"| x {row['seconds_ratio']:.2f} |"
        )
    for label, reason in outcome.failed:
        print(f"failed: {label}: {reason}")


if __name__ == "__main__":
    main()
