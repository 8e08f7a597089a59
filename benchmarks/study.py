"""A freeze-depth study by plain Ultralytics and by Frostline, with the same settings, in turn, on one machine.

Whole processes are timed, imports included. Prints both sides, medians and the ratio, as a table and as one JSON line.

    python benchmarks/study.py                                        # rendered scenes, random weights
    python benchmarks/study.py --model weights.pt --data data.yaml    # your own
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def timed(words: list[str], log: Path) -> float:
    begun = time.perf_counter()
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(words, stdout=stream, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(words)}\n{log.read_text(encoding='utf-8')[-2000:]}")
    return time.perf_counter() - begun


def plain(args: argparse.Namespace, project: Path) -> float:
    words = [
        sys.executable, str(HERE / "plain_study.py"), "--model", args.model, "--data", args.data, "--imgsz",
        str(args.imgsz), "--batch", str(args.batch), "--epochs", str(args.epochs), "--device", args.device,
        "--depths", ",".join(["0", *args.depths.split(",")]), "--project", str(project),
    ]  # fmt: skip
    return timed(words, project.with_suffix(".log"))


def ours(args: argparse.Namespace, project: Path) -> float:
    words = [
        sys.executable, "-m", "frostline", "ablate", args.model, args.data, "--freeze-list", args.depths, "--epochs",
        str(args.epochs), "--imgsz", str(args.imgsz), "--batch", str(args.batch), "--device", args.device,
        "--project", str(project), "plots=false", "hsv_h=0", "hsv_s=0",
    ]  # fmt: skip
    if not args.model.endswith(".pt"):
        words.append("--freeze-fresh")  # only the speed is asked for
    return timed(words, project.with_suffix(".log"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov5n.yaml", help="checkpoint or model YAML")
    parser.add_argument("--data", help="data.yaml; rendered scenes without")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--depths", default="3,4,5,6", help="depths beside the baseline")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=1, help="times that each side runs, in turn")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if args.data is None:
            from frostline.datasets.scenes import render_scenes

            args.data = str(render_scenes(work / "scenes", images=100).srgb)
        seconds: dict[str, list[float]] = {"plain Ultralytics": [], "Frostline": []}
        for repeat in range(args.repeats):
            for name, side in (("plain Ultralytics", plain), ("Frostline", ours)):
                project = work / f"{name.split()[0]}{repeat}"
                seconds[name].append(side(args, project))
                print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
                shutil.rmtree(project, ignore_errors=True)
    report(args, seconds)


def report(args: argparse.Namespace, seconds: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["Frostline"] / medians["plain Ultralytics"]
    runs = len(args.depths.split(",")) + 1
    print(f"\nstudy of {runs} runs, {args.epochs} epochs, {args.imgsz} px, batch {args.batch}, {args.device}")
    for name, value in medians.items():
        print(f"  {name:<20}{value:8.1f} s")
    print(f"  {'ratio':<20}{ratio:8.2f}")
    found: dict[str, Any] = {**vars(args), "cores": os.cpu_count(), "seconds": seconds, "ratio": round(ratio, 4)}
    print("JSON " + json.dumps(found))


if __name__ == "__main__":
    main()
