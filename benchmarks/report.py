"""How long a report takes and how large it is: 20 runs of 811 images, about 100 detections an image, 5 classes.

    python benchmarks/report.py

Runs are synthetic (as in benchmarks/bootstrap.py), with 100 epochs of curves and plain pictures of KITTI's size for the
sample sheet. The time is that of the whole command in a process of its own, imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from bootstrap import NAMES, synthetic
from PIL import Image

from frostline.analysis import write_predictions

HEADER = "epoch,time,train/box_loss,metrics/precision(B),metrics/recall(B),metrics/mAP50(B),metrics/mAP50-95(B)"


def write_study(folder: Path, arms: int, seeds: int, images: int, detections: int, epochs: int) -> None:
    """Write a study of synthetic runs: depths 0, 3, 4, 5, ... and as many seeds of each."""
    data = write_data(folder.parent / "data", images)
    depths = [0, *range(3, 2 + arms)]
    names = ["baseline" if depth == 0 else f"freeze_1_to_{depth}" for depth in depths]
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(yaml.safe_dump({"name": "benchmark", "arms": {name: {} for name in names}}))
    for number, (arm, depth) in enumerate(zip(names, depths, strict=True)):
        for seed in range(seeds):
            run = folder / arm / f"seed{seed}"
            run.mkdir(parents=True)
            predictions = synthetic(images, detections, 0.1 + 0.02 * number, number * seeds + seed)
            write_predictions(run / "predictions.parquet", predictions.frame, predictions.settings)
            curve = (0.6 - 0.03 * number) * (1 - np.exp(-np.arange(1, epochs + 1) / 12))
            rows = [f"{e},{10.0 * e},1.2,0.7,0.6,{v:.5f},{v / 2:.5f}" for e, v in enumerate(curve, 1)]
            (run / "results.csv").write_text("\n".join([HEADER, *rows]) + "\n")
            record = {
                "arm": arm, "seed": seed, "status": "finished", "freeze_depth": depth, "data": str(data),
                "audit": "PASS", "names": {str(key): name for key, name in NAMES.items()},
                "epoch_seconds": [10.0] * epochs,
                "metrics": {"ultralytics/mAP50": float(curve[-1]), "ultralytics/mAP50-95": float(curve[-1] / 2)},
                "peak_memory": {"rss_bytes": 2**31, "cuda_bytes": None}, "parameters": {"trainable": 9_400_000},
            }  # fmt: skip
            (run / "run.json").write_text(json.dumps(record))


def write_data(folder: Path, images: int) -> Path:
    """Write a dataset of grey gradients under the names that the predictions have."""
    rng = np.random.default_rng(0)
    for part in ("images/val", "images/train", "labels/val", "labels/train"):
        (folder / part).mkdir(parents=True)
    base = np.linspace(40, 200, 1242)[None, :, None] + rng.normal(0, 12, (375, 1242, 3))
    picture = Image.fromarray(base.clip(0, 255).astype(np.uint8))
    for index in range(images):
        picture.save(folder / "images/val" / f"{index:06d}.png", compress_level=1)
    picture.save(folder / "images/train" / "train.png")
    content = {"path": str(folder), "train": "images/train", "val": "images/val", "names": NAMES}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--images", type=int, default=811)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        study, out = Path(root) / "study", Path(root) / "out"
        write_study(study, options.arms, options.seeds, options.images, options.detections, options.epochs)
        command = [sys.executable, "-c", "from frostline.cli.app import main; main()", "report", str(study)]
        seconds = []
        for _ in range(options.repeats):
            start = time.perf_counter()
            subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        page = (out / "index.html").stat().st_size
        everything = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    runs, cores = options.arms * options.seeds, len(os.sched_getaffinity(0))
    print(f"{runs} runs of {options.images} images, {options.detections} detections an image, {cores} cores")
    print(f"report: median {statistics.median(seconds):.1f} s of {', '.join(f'{s:.1f}' for s in seconds)}")
    print(f"page {page / 1e6:.1f} MB, with figures and tables {everything / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
