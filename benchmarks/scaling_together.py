"""The third question of `scaling.py`: what an epoch of several arms costs, trained together and one after another."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml

EPOCHS = (1, 3)
WAYS: dict[str, list[str]] = {"together": ["--together"], "in turn": []}


def frostline(*words: str) -> list[str]:
    return [sys.executable, "-m", "frostline", *words]


def has_together() -> bool:
    """Say whether this version trains several arms of a study together."""
    done = subprocess.run(frostline("study", "run", "--help"), capture_output=True, text=True, check=False)
    return "--together" in done.stdout


def study_file(args: argparse.Namespace, data: str, count: int, epochs: int, path: Path) -> Path:
    """Write a study of one seed with an arm a depth."""
    frozen = [{"freeze": f"0-{depth - 1}", "freeze_fresh": True} if depth else {} for depth in range(count)]
    arms = {f"depth_{depth}": arm for depth, arm in enumerate(frozen)}
    train = {"epochs": epochs, "imgsz": args.arms_size, "batch": args.batch, "plots": False, "mosaic": 0.0}
    content = {"name": path.stem, "model": str(args.model), "data": data, "train": train, "seeds": [0], "arms": arms}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def watched(words: list[str], log: Path) -> tuple[float, int]:
    """Run a program; return its seconds and the peak of its resident set, processes that it starts included."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    began, peak = time.perf_counter(), 0
    with log.open("w", encoding="utf-8") as stream:
        process = psutil.Popen(words, stdout=stream, stderr=subprocess.STDOUT, env=environment)
        while process.poll() is None:
            peak = max(peak, resident(process))
            time.sleep(0.1)
    if process.returncode:
        sys.exit(f"failed ({process.returncode}): {' '.join(words)}\n{log.read_text(encoding='utf-8')[-2000:]}")
    return time.perf_counter() - began, peak


def resident(process: psutil.Popen) -> int:
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:  # it has just ended
        pass
    return total


def arms_together(
    args: argparse.Namespace,
    counts: list[int],
    data: str,
    flops: Callable[[str, int, int], float],
    deepest: int,
) -> dict[str, Any]:
    """Measure studies of some numbers of arms in both ways.

    Arms freeze nothing, then one layer, two and so on, never more than the backbone. By the FLOPs, an epoch costs the
    sum of what its arms would cost alone. One line holds for both ways: fewest arms, one by default, are the same work.
    """
    rows: list[dict[str, Any]] = []
    for count in sorted({min(count, deepest + 1) for count in counts}):
        work = sum(flops(args.model, args.arms_size, depth) for depth in range(count))
        for side in WAYS:
            epoch, peak = epoch_of(args, count, data, side)
            seconds, megabytes = 100 * epoch / (args.steps * args.batch), peak / 2**20
            rows.append({"side": side, "arms": count, "seconds": seconds, "megabytes": megabytes, "work": work})
            print(f"{side:<9}{count} arms  {seconds:7.2f} s  {megabytes:7.0f} MiB", flush=True)
    unit = statistics.mean(row["seconds"] / row["work"] for row in rows[: len(WAYS)])
    for row in rows:
        row["predicted"] = unit * row.pop("work")
    return {"key": "arms", "reference": {"arms": rows[0]["arms"]}, "rows": rows}


def epoch_of(args: argparse.Namespace, arms: int, data: str, side: str) -> tuple[float, int]:
    """Run a study of few epochs and one of more; return the seconds an epoch of all arms, and the peak memory.

    What was measured before is read.
    """
    known = (
        args.out / "points" / f"arms_{arms}_{side.replace(' ', '_')}_{args.arms_size}_{args.steps}x{args.batch}.json"
    )
    if known.is_file():
        epoch, high = json.loads(known.read_text(encoding="utf-8"))
        return float(epoch), int(high)
    seconds, peak = [], 0
    for epochs in EPOCHS:
        folder = args.out / "together" / f"{arms}_arms_{epochs}_epochs_{side.replace(' ', '_')}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = study_file(args, data, arms, epochs, folder.with_suffix(".yaml"))
        words = frostline("study", "run", str(file), "--project", str(folder), "--device", args.device)
        took, high = watched([*words, *WAYS[side]], folder.with_suffix(".log"))
        seconds.append(took)
        peak = max(peak, high)
    epoch = (seconds[1] - seconds[0]) / (EPOCHS[1] - EPOCHS[0])
    known.write_text(json.dumps([epoch, peak]) + "\n", encoding="utf-8")
    return epoch, peak
