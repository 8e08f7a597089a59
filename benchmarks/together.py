"""A freeze-depth study of runs by themselves and of runs in lockstep, in turn, on one machine.

Whole processes are timed, imports included. Prints wall and user CPU seconds of both sides, their medians and the
ratios, as a table and as one JSON line.

    python benchmarks/together.py                                        # rendered scenes, random weights
    python benchmarks/together.py --model weights.pt --data data.yaml    # your own
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIDES = {"apart": (), "together": ("--together",)}


def study(args: argparse.Namespace, side: str, project: Path) -> tuple[float, float]:
    words = [
        sys.executable, "-m", "frostline", "ablate", args.model, args.data, "--freeze-list", args.depths, "--epochs",
        str(args.epochs), "--imgsz", str(args.imgsz), "--batch", str(args.batch), "--device", args.device, "--quiet",
        "--project", str(project), "plots=false", f"close_mosaic={args.close_mosaic}", *args.setting, *SIDES[side],
    ]  # fmt: skip
    if not args.model.endswith(".pt"):
        words.append("--freeze-fresh")  # only the speed is asked for
    log = project.with_suffix(".log")
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(words, stdout=stream, stderr=subprocess.STDOUT, check=False)
    wall, user = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(words)}\n{log.read_text(encoding='utf-8')[-2000:]}")
    return wall, user


def epochs(project: Path) -> float:
    """Return the seconds of all epochs of all runs."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in project.glob("*/seed*/run.json")]
    return float(sum(sum(record["epoch_seconds"]) for record in records))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov5n.yaml", help="checkpoint or model YAML")
    parser.add_argument("--data", help="data.yaml; rendered scenes without")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--close-mosaic", type=int, default=0, help="0 keeps mosaics to the end")
    parser.add_argument("--depths", default="3,4,5,6", help="depths beside the baseline")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3, help="times that each side runs, in turn")
    parser.add_argument("--setting", nargs="*", default=[], help="further training arguments, key=value")
    args = parser.parse_args()
    seconds: dict[str, dict[str, list[float]]] = {
        side: {"wall": [], "user CPU": [], "epochs": []} for side in SIDES
    }  # of whole processes; of the epochs alone, as the runs measured them
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if args.data is None:
            from frostline.datasets.scenes import render_scenes

            args.data = str(render_scenes(work / "scenes", images=100).srgb)
        for repeat in range(args.repeats):
            for side in SIDES:
                project = work / f"{side}{repeat}"
                wall, user = study(args, side, project)
                for name, value in (("wall", wall), ("user CPU", user), ("epochs", epochs(project))):
                    seconds[side][name].append(round(value, 3))
                print(f"{side}: {wall:.1f} s, {user:.1f} s of user CPU", flush=True)
                shutil.rmtree(project)
    report(args, seconds)


def report(args: argparse.Namespace, seconds: dict[str, dict[str, list[float]]]) -> None:
    runs = len(args.depths.split(",")) + 1
    print(f"\nstudy of {runs} runs, {args.epochs} epochs, {args.imgsz} px, batch {args.batch}, {args.device}, medians")
    print(f"  {'':<10}{'apart':>10}{'together':>10}{'ratio':>8}")
    found: dict[str, Any] = {**vars(args), "cores": os.cpu_count(), "seconds": seconds, "ratio": {}}
    for name in ("wall", "user CPU", "epochs"):
        apart, together = (statistics.median(seconds[side][name]) for side in SIDES)
        found["ratio"][name] = round(together / apart, 4)
        print(f"  {name:<10}{apart:>8.1f} s{together:>8.1f} s{together / apart:>8.2f}")
    print("JSON " + json.dumps(found))


if __name__ == "__main__":
    main()
