"""A freeze-depth study by plain Ultralytics and by Frostline, with the same settings, in turn, on one machine.

Whole processes are timed, imports included. Prints both sides, medians and ratios, as a table and as one JSON line:
seconds of the study, seconds of an epoch with the deepest freeze, and peak memory (resident set) of the process.

    python benchmarks/study.py                                        # rendered scenes, random weights
    python benchmarks/study.py --model weights.pt --data data.yaml    # your own
    python benchmarks/study.py --workloads 320,320+mosaic,640 --repeats 3,3,1

A workload is an image size; `+mosaic` sets `close_mosaic=0`, without which runs of ten epochs or fewer see no mosaic.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLAIN, OURS = "plain Ultralytics", "Frostline"


@dataclass(frozen=True)
class Workload:
    imgsz: int
    mosaic: bool

    @classmethod
    def parse(cls, text: str) -> Workload:
        size, _, more = text.partition("+")
        if not size.isdigit() or more not in ("", "mosaic"):
            sys.exit(f"workload '{text}': expected an image size such as 320, or 320+mosaic")
        return cls(int(size), more == "mosaic")

    def __str__(self) -> str:
        return f"{self.imgsz} px{', mosaic to the end' if self.mosaic else ''}"


@dataclass(frozen=True)
class Measured:
    """Of one process: seconds in all, seconds of an epoch with the deepest freeze (median), peak memory in MiB."""

    study: float
    epoch: float
    memory: float


def measured(words: list[str], log: Path, results: Path) -> Measured:
    begun = time.perf_counter()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed ({process.returncode}): {' '.join(words)}\n{log.read_text(encoding='utf-8')[-2000:]}")
    return Measured(seconds, statistics.median(epoch_seconds(results)), usage.ru_maxrss / 1024)


def epoch_seconds(results: Path) -> list[float]:
    """Seconds of each epoch, training and validation, from the running total in results.csv."""
    with results.open(encoding="utf-8", newline="") as stream:
        totals = [float({key.strip(): value for key, value in row.items()}["time"]) for row in csv.DictReader(stream)]
    return [now - before for now, before in zip(totals, [0.0, *totals], strict=False)]


def plain(args: argparse.Namespace, work: Workload, project: Path) -> Measured:
    words = [
        sys.executable, str(HERE / "plain_study.py"), "--model", args.model, "--data", args.data, "--imgsz",
        str(work.imgsz), "--batch", str(args.batch), "--epochs", str(args.epochs), "--device", args.device,
        "--depths", ",".join(["0", *args.depths.split(",")]), "--project", str(project),
        *(["--close-mosaic", "0"] if work.mosaic else []),
    ]  # fmt: skip
    return measured(words, project.with_suffix(".log"), project / f"freeze_{deepest(args)}" / "results.csv")


def ours(args: argparse.Namespace, work: Workload, project: Path) -> Measured:
    words = [
        sys.executable, "-m", "frostline", "ablate", args.model, args.data, "--freeze-list", args.depths, "--epochs",
        str(args.epochs), "--imgsz", str(work.imgsz), "--batch", str(args.batch), "--device", args.device,
        "--project", str(project), "plots=false", "hsv_h=0", "hsv_s=0", *args.settings,
        *(["close_mosaic=0"] if work.mosaic else []), *(["--together"] if args.together else []),
    ]  # fmt: skip
    if not args.model.endswith(".pt"):
        words.append("--freeze-fresh")  # only the speed is asked for
    folder = project / f"freeze_1_to_{deepest(args)}" / "seed0"
    return measured(words, project.with_suffix(".log"), folder / "results.csv")


def deepest(args: argparse.Namespace) -> int:
    return max(map(int, args.depths.split(",")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov5n.yaml", help="checkpoint or model YAML")
    parser.add_argument("--data", help="data.yaml; rendered scenes without")
    parser.add_argument("--workloads", default="320", help="image sizes, with +mosaic or without")
    parser.add_argument("--repeats", default="1", help="times that each side runs, in turn; one number a workload")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--depths", default="3,4,5,6", help="depths beside the baseline")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--together", action="store_true", help="train our arms in lockstep")
    parser.add_argument("--settings", nargs="*", default=[], help="key=value for our side, such as precision=fp32")
    args = parser.parse_args()
    works = [Workload.parse(text) for text in args.workloads.split(",")]
    repeats = [int(text) for text in args.repeats.split(",")]
    repeats = repeats * len(works) if len(repeats) == 1 else repeats
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if args.data is None:
            from frostline.datasets.scenes import render_scenes

            args.data = str(render_scenes(place / "scenes", images=100).srgb)
        told = [run(args, work, count, place) for work, count in zip(works, repeats, strict=True)]
    shown = {key: value for key, value in vars(args).items() if key not in ("workloads", "repeats")}
    shown["model"] = Path(args.model).name
    del shown["data"]
    print("JSON " + json.dumps({**shown, "cores": os.cpu_count(), "workloads": told}))


def run(args: argparse.Namespace, work: Workload, repeats: int, place: Path) -> dict[str, Any]:
    sides: tuple[tuple[str, Callable[..., Measured]], ...] = ((PLAIN, plain), (OURS, ours))
    found: dict[str, list[Measured]] = {name: [] for name, _ in sides}
    for repeat in range(repeats):
        for name, side in sides:
            project = place / f"{name.split()[0]}{work.imgsz}{work.mosaic}{repeat}"
            found[name].append(side(args, work, project))
            print(f"{work}: {name}: {found[name][-1].study:.1f} s", flush=True)
            shutil.rmtree(project, ignore_errors=True)
    runs = len(args.depths.split(",")) + 1
    print(
        f"\nstudy of {runs} runs, {args.epochs} epochs, {work}, batch {args.batch}, {args.device}, medians of {repeats}"
    )
    print(f"  {'':<38}{'plain':>9}{'ours':>9}{'ratio':>8}")
    told: dict[str, Any] = {"workload": str(work), "repeats": repeats}
    rows = (
        ("study", "study", "s"),
        ("epoch", f"epoch with {deepest(args)} layers frozen", "s"),
        ("memory", "peak memory", "MiB"),
    )
    for key, title, unit in rows:
        values = {name: [getattr(one, key) for one in several] for name, several in found.items()}
        before, after = (statistics.median(values[name]) for name in (PLAIN, OURS))
        print(f"  {title + ', ' + unit:<38}{before:9.1f}{after:9.1f}{after / before:8.2f}")
        told[key] = {"plain": values[PLAIN], "ours": values[OURS], "ratio": round(after / before, 4)}
    print(flush=True)
    return told


if __name__ == "__main__":
    main()
