"""One point of `scaling.py`, in a process of its own: seconds of each training step, and peak memory, of one run.

Prints one JSON line once the steps are done, and leaves out what would follow: validation, checkpoints, evaluation.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any


class MeasuredError(Exception):
    """Ends a run of which all is known."""


def peak_bytes() -> int:
    """Return the largest resident set that this process had so far."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def watch_steps(seconds: list[float]) -> None:
    """Time every step of every trainer of this process, loading included, and end the run after its first epoch."""
    from ultralytics.utils import callbacks

    last = [0.0]

    def start(trainer: Any) -> None:
        last[0] = time.perf_counter()

    def step(trainer: Any) -> None:
        now = time.perf_counter()
        seconds.append(now - last[0])
        last[0] = now

    def end(trainer: Any) -> None:
        raise MeasuredError

    for event, hook in (("on_train_epoch_start", start), ("on_train_batch_end", step), ("on_train_epoch_end", end)):
        callbacks.default_callbacks[event].append(hook)


def train_plain(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Start what a user would without Frostline."""
    from ultralytics import YOLO

    from frostline.training.settings import for_ultralytics, resolve_settings

    settings = for_ultralytics(resolve_settings({**settings, "reference": True}))
    model = YOLO(args.model)
    freeze = list(range(args.train_only, len(model.model.model))) if args.train_only else args.depth or None
    model.train(
        **settings, data=args.data, freeze=freeze, seed=0, device=args.device, project=args.project,
        name="run", exist_ok=True,
    )  # fmt: skip


def train_ours(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Start a run of ours at full speed."""
    from frostline import FreezePlan, train

    plan = FreezePlan.none()
    if args.train_only:
        plan = FreezePlan.parse({"train_only": f"0-{args.train_only - 1}", "freeze_fresh": True})
    elif args.depth:
        plan = FreezePlan.parse({"freeze": f"0-{args.depth - 1}", "freeze_fresh": True})
    train(args.model, args.data, plan, project=args.project, name="run", device=args.device, **settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("plain", "ours"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--imgsz", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--depth", type=int, required=True, help="leading layers that are frozen")
    parser.add_argument("--train-only", type=int, default=0, help="leading layers that alone train, instead")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    # First, for torch's threads: Ultralytics sets OMP_NUM_THREADS as it is imported.
    import frostline.training  # noqa: F401

    seconds: list[float] = []
    watch_steps(seconds)
    settings = {"epochs": 1, "imgsz": args.imgsz, "batch": args.batch, "plots": False, "mosaic": 0.0}
    try:
        (train_plain if args.side == "plain" else train_ours)(args, settings)
    except MeasuredError:
        print("\nPOINT " + json.dumps({"step_seconds": seconds, "peak_bytes": peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()
