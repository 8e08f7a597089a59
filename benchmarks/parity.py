"""Does a run of ours end where plain Ultralytics ends? The baseline and freezing layers 1 to 6, three sides, seeds.

The sides: plain Ultralytics with `freeze=`; ours with `reference=true`, its arithmetic; ours at full speed. All have
the same arguments, start weights and images, and all are evaluated by the same code. On a CPU plain Ultralytics leaves
a core out, and another number of threads rounds sums in another order: the reference side takes as many threads as it,
and a short fourth side, `reference_all_cores`, tells what the last thread alone does. Printed for each arm:

- the largest relative difference of the loss over the first optimizer batches, ours in reference against plain;
- mAP50 of ours less plain, paired by image and seed, and whether it is shown to lie within the margin (two one-sided
  tests, from the 90 % interval): `equivalent`, `different` or `undecided`.

Everything goes into the work folder: runs, `parity.json`, `parity.md` and a figure an arm. Started again, it goes on
where it stopped.

    python benchmarks/parity.py --out runs/parity                          # rendered scenes, a model pretrained on them
    python benchmarks/parity.py --out runs/parity --model weights.pt       # rendered scenes, your checkpoint
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from parity_side import LOSSES

HERE = Path(__file__).parent
SIDES = ("plain", "reference", "full")
ALL_CORES = "reference_all_cores"
ARMS = {"baseline": 0, "freeze_1_to_6": 6}
METRIC = "ultralytics/mAP50"
SIZE = (240, 160)
COMMON: dict[str, Any] = {
    "imgsz": 160, "batch": 16, "nbs": 16, "optimizer": "AdamW", "momentum": 0.9, "warmup_epochs": 1.0, "plots": False,
    "mosaic": 0.0, "scale": 0.2, "hsv_h": 0.0, "hsv_s": 0.0,
}  # fmt: skip


def hush_and_run(words: list[str], log: Path, threads: int | None = None) -> None:
    """Run a program with its output in a file, and show the end of it where it failed."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with log.open("a", encoding="utf-8") as stream:
        done = subprocess.run(words, stdout=stream, stderr=subprocess.STDOUT, check=False, env=environment)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(words)}\n{log.read_text(encoding='utf-8')[-2000:]}")


def scenes(args: argparse.Namespace) -> str:
    """Render the streets that all sides train and validate on; return their data.yaml."""
    from frostline.datasets.scenes import render_scenes

    total = args.train_images + args.val_images
    made = render_scenes(args.out / "scenes", images=total, seed=1, size=SIZE, val_fraction=args.val_images / total)
    return str(made.srgb)


def start_weights(args: argparse.Namespace) -> str:
    """Return the checkpoint that was given, or pretrain one on other streets."""
    if args.model is not None:
        copy = args.out / "start.pt"  # under some names, as yolov5n.pt, Ultralytics takes another checkpoint
        shutil.copyfile(args.model, copy)
        return str(copy.resolve())
    weights = args.out / "pretrain" / "source" / "weights" / "best.pt"
    print(f"no --model: {args.scratch} is pretrained for {args.source_epochs} epochs on other rendered streets")
    from frostline.datasets.scenes import render_scenes

    data = render_scenes(args.out / "source", images=args.source_images, seed=1000, size=SIZE).srgb
    words = [
        sys.executable, "-m", "frostline", "train", args.scratch, str(data), "--project", str(args.out / "pretrain"),
        "--name", "source", "--epochs", str(args.source_epochs), "--device", args.device,
        *(f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in COMMON.items()),
        "lr0=0.002",
    ]  # fmt: skip
    hush_and_run(words, args.out / "pretrain.log")
    return str(weights.resolve())


def plain_threads() -> int:
    """Return the threads that plain Ultralytics computes with on a CPU, see its `select_device`."""
    return min(8, max(1, (os.cpu_count() or 1) - 1))


def run_side(args: argparse.Namespace, side: str, model: str, data: str) -> None:
    """Carry out the runs of one side that are not finished, in a process of their own."""
    seeds = [int(word) for word in args.seeds.split(",")]
    short = side == ALL_CORES  # the first epoch is the same with any number of epochs from 2 on
    job = {
        "side": side, "model": model, "data": data, "device": args.device, "out": str(args.out.resolve()),
        "seeds": seeds[:1] if short else seeds, "arms": ARMS, "reference": side != "full",
        "train": {**COMMON, "epochs": 2 if short else args.epochs, "lr0": args.lr0},
    }  # fmt: skip
    path = args.out / f"{side}.json"
    path.write_text(json.dumps(job, indent=1) + "\n", encoding="utf-8")
    words = [sys.executable, str(HERE / "parity_side.py"), str(path)]
    began = time.perf_counter()
    hush_and_run(words, args.out / f"{side}.log", plain_threads() if side == "reference" else None)
    print(f"{side}: {len(job['seeds']) * len(ARMS)} runs, {time.perf_counter() - began:.0f} s", flush=True)


def batch_losses(run: Path) -> list[list[float]]:
    """Read the losses of a run: rows of the total and its parts, in the order of the batches."""
    with (run / LOSSES).open(encoding="utf-8", newline="") as stream:
        return [[float(value) for value in row] for row in list(csv.reader(stream))[1:]]


def loss_differences(args: argparse.Namespace, arm: str, side: str, seeds: list[str]) -> dict[str, Any]:
    """Compare the first losses of one of our sides with plain's: the total and every part, relative to plain's."""
    by_batch = [0.0] * args.batches
    for seed in seeds:
        plain, ours = (batch_losses(args.out / name / arm / f"seed{seed}") for name in ("plain", side))
        for index, (a, b) in enumerate(zip(plain[: args.batches], ours[: args.batches], strict=True)):
            worst = max(abs(x - y) / max(abs(x), 1e-12) for x, y in zip(a, b, strict=True))
            by_batch[index] = max(by_batch[index], worst)
    return {"arm": arm, "side": side, "largest": max(by_batch), "first": by_batch[0], "by_batch": by_batch}


def verdict(low: float, high: float, margin: float) -> str:
    """Say what the interval of a difference shows, against a margin."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "undecided"
    if -margin < low and high < margin:
        return "equivalent"
    return "different" if low > margin or high < -margin else "undecided"


def findings(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare both of our sides with plain Ultralytics, arm by arm, on the same draws of images."""
    from frostline.analysis import difference_spread, equivalence, estimate_arm, find_runs, gather

    evidence = gather(find_runs([args.out / side for side in SIDES]), draws=args.draws)
    for left in evidence.left_out:
        print(f"left out: {left.label}: {left.reason}")
    resamples = evidence.panels[0].resamples
    rows = []
    for arm in ARMS:
        for side in SIDES[1:]:
            names = f"{side}/{arm}", f"plain/{arm}"
            found = difference_spread(resamples, METRIC, *names)
            test = equivalence(found, args.margin / 100)
            row = {
                "arm": arm, "side": side, "images": resamples.images, "seeds": len(resamples.arm(names[0]).seeds),
                "plain": 100 * estimate_arm(resamples, METRIC, names[1]).value,
                "ours": 100 * estimate_arm(resamples, METRIC, names[0]).value,
                "difference": 100 * found.value, "low": 100 * test.low, "high": 100 * test.high,
                "image_error": 100 * found.image_error,
                "seed_error": None if found.seed_error is None else 100 * found.seed_error,
                "verdict": verdict(test.low, test.high, args.margin / 100),
            }  # fmt: skip
            rows.append(row | {"width": row["high"] - row["low"]})
    return rows


def table(rows: list[dict[str, Any]], losses: list[dict[str, Any]], args: argparse.Namespace) -> str:
    lines = [
        "| arm | side | mAP50 | plain | difference | 90 % interval | width | verdict |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row['arm']} | {row['side']} | {row['ours']:.2f} | {row['plain']:.2f} | {row['difference']:+.2f} | "
            f"{row['low']:+.2f} to {row['high']:+.2f} | {row['width']:.2f} | {row['verdict']} |"
        )
    lines += ["", f"mAP50 in points, on {rows[0]['images']} images with {rows[0]['seeds']} seeds; margin {args.margin}"]
    for found in losses:
        lines.append(
            f"loss, {found['arm']}, {found['side']} against plain: largest relative difference {found['largest']:.1e} "
            f"over the first {args.batches} batches, {found['first']:.1e} in the first"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/parity"), help="work folder")
    parser.add_argument("--model", help="checkpoint to start from; one is pretrained here without")
    parser.add_argument("--scratch", default="yolov5n.yaml", help="model that is pretrained where none is given")
    parser.add_argument("--source-images", type=int, default=400, help="rendered for that")
    parser.add_argument("--source-epochs", type=int, default=10)
    parser.add_argument("--train-images", type=int, default=320)
    parser.add_argument("--val-images", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr0", type=float, default=0.0005)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--margin", type=float, default=2.0, help="difference of mAP50 that does not matter, points")
    parser.add_argument("--batches", type=int, default=20, help="first batches whose losses are compared")
    parser.add_argument("--draws", type=int, default=2000, help="of images, for the bootstrap")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data, model = scenes(args), start_weights(args)
    for side in (*SIDES, ALL_CORES):
        run_side(args, side, model, data)
    rows = findings(args)
    seeds = args.seeds.split(",")
    compared = (("reference", seeds), (ALL_CORES, seeds[:1]))
    losses = [loss_differences(args, arm, side, some) for side, some in compared for arm in ARMS]
    text = table(rows, losses, args)
    (args.out / "parity.md").write_text(text + "\n", encoding="utf-8")
    from parity_figures import draw

    figures = [draw(args.out, arm, SIDES) for arm in ARMS]
    given = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    found = {**given, "cores": os.cpu_count(), "comparisons": rows, "losses": losses}
    (args.out / "parity.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"\n{text}\n" + "\n".join(f"figure: {path}" for path in figures))
    print("JSON " + json.dumps(found))


if __name__ == "__main__":
    main()
