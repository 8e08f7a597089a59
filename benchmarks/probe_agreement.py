"""Does the probe rank {first block, backbone, head} as short real runs do?

A small detector is pretrained on rendered sRGB streets. For every seed other streets are rendered, in three versions:
log-chromaticity (a shift at the input), sRGB with every class called by the next one's name (a shift at the output),
and plain sRGB (no shift). On each, the probe ranks the three regions, and three real runs each train one region alone.
Prints the table and the agreement, and writes both, with all scores, to agreement.json.

    python benchmarks/probe_agreement.py --out runs/agreement --seeds 2,3,4,5

Started again, it goes on where it stopped; with --minutes it stops by itself and tells that more is to do.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

REGIONS = {"first": "0-2", "backbone": "backbone", "head": "head"}
SHIFTS = ("input", "output", "none")
SIZE = (240, 160)
COMMON: dict[str, Any] = {
    "imgsz": 160, "batch": 8, "nbs": 8, "optimizer": "AdamW", "momentum": 0.9, "plots": False, "mosaic": 0.0,
    "scale": 0.2, "hsv_h": 0.0, "hsv_s": 0.0, "device": "cpu",
}  # fmt: skip


def tiny_model(folder: Path) -> Path:
    """YOLO11's layers at an eighth of their width."""
    from ultralytics.nn.tasks import yaml_model_load

    config = yaml_model_load("yolo11n.yaml")
    kept = {key: config[key] for key in ("nc", "backbone", "head")} | {"scales": {"n": [0.33, 0.125, 512]}}
    path = folder / "yolo11n-eighth.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(kept), encoding="utf-8")
    return path


def source_model(args: argparse.Namespace) -> Path:
    """Pretrain on sRGB streets, or take the checkpoint that was given."""
    import frostline as fl
    from frostline.datasets.scenes import render_scenes

    if args.model is not None:
        return Path(args.model)
    scenes = render_scenes(args.out / "source", images=args.source_images, seed=1000, size=SIZE)
    run = fl.train(
        str(tiny_model(args.out)), scenes.srgb, project=args.out, name="pretrain", epochs=args.source_epochs, lr0=0.003,
        observer=Silent(), **COMMON,
    )  # fmt: skip
    print(f"source model: mAP50-95 {run.map50_95:.3f}, mAP50 {run.map50:.3f} on sRGB", flush=True)
    return run.weights


def shifted(args: argparse.Namespace, seed: int) -> dict[str, Path]:
    """Render a seed's streets and make its three datasets."""
    from frostline.datasets.scenes import render_scenes
    from frostline.imaging import convert_folder, parse_isd

    folder = args.out / f"seed{seed}"
    scenes = render_scenes(folder / "scenes", images=args.images, seed=seed, size=SIZE, val_fraction=0.5)
    convert_folder(scenes.linear.parent, folder / "chroma", parse_isd(str(scenes.isd)), encode="log", bits=8)
    relabelled = folder / "relabelled" / "data.yaml"
    if not relabelled.is_file():
        shutil.copytree(scenes.srgb.parent, relabelled.parent, ignore=shutil.ignore_patterns("*.cache", "data.yaml"))
        names = yaml.safe_load(scenes.srgb.read_text(encoding="utf-8"))["names"]
        for file in relabelled.parent.glob("labels/*/*.txt"):
            rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
            moved = [" ".join([str((int(row[0]) + 1) % len(names)), *row[1:]]) for row in rows]
            file.write_text("".join(f"{line}\n" for line in moved), encoding="utf-8")
        shutil.copyfile(scenes.srgb, relabelled)
    return {"input": folder / "chroma" / "data.yaml", "output": relabelled, "none": scenes.srgb}


class Silent:
    """Takes what a run has to say."""

    def say(self, text: str) -> None:
        pass

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        pass


def cell(args: argparse.Namespace, weights: Path, data: Path, shift: str, seed: int) -> dict[str, Any]:
    """Probe one dataset, and train each region alone on it."""
    import frostline as fl
    from frostline.probing.probe import probe

    found = probe(weights, data, batches=args.batches, batch=8, imgsz=COMMON["imgsz"], seed=seed, device="cpu")
    real = {}
    for region, selector in REGIONS.items():
        run = fl.train(
            str(weights), data, fl.FreezePlan.parse({"train_only": selector}), project=args.out / f"seed{seed}" / shift,
            name=region, seed=seed, epochs=args.epochs, lr0=args.lr, warmup_epochs=0.5, observer=Silent(), **COMMON,
        )  # fmt: skip
        real[region] = run.map50_95
    order = sorted(real, key=lambda name: -real[name])
    return {
        "shift": shift, "seed": seed, "probe": list(found.ranking.order), "scores": found.ranking.scores,
        "stability": found.ranking.stability, "real": order, "map50_95": real,
        "others": others(found),
    }  # fmt: skip


def others(found: Any) -> dict[str, list[str]]:
    """Rank the regions by simpler rules, to compare the probe's with."""
    from frostline.probing import regions_of
    from frostline.training import open_model

    relative = {}
    for name, layers in regions_of(open_model(found.model)).items():
        values = [found.layers[i].gradient.relative for i in layers if found.layers[i].gradient is not None]
        relative[name] = statistics.mean(values)
    scores = found.ranking.scores
    return {
        "mean relative gradient norm": sorted(REGIONS, key=lambda name: -relative[name]),
        "plain signal-to-noise ratio": sorted(REGIONS, key=lambda name: -scores[name]),
    }


def concordant(one: list[str], other: list[str]) -> int:
    """Count the pairs of regions, of three, that both rankings put in the same order."""
    return sum((one.index(a) < one.index(b)) == (other.index(a) < other.index(b)) for a, b in combinations(one, 2))


def report(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Print every cell, and how often the two agree."""
    print(f"\n{'shift':<8}{'seed':>4}  {'probe':<24}{'real runs':<24}{'mAP50-95 first/backbone/head':<30}first  pairs")
    for row in cells:
        maps = " ".join(f"{row['map50_95'][name]:.3f}" for name in REGIONS)
        same = "yes" if row["probe"][0] == row["real"][0] else "no"
        print(
            f"{row['shift']:<8}{row['seed']:>4}  {' > '.join(row['probe']):<24}{' > '.join(row['real']):<24}{maps:<30}"
            f"{same:<7}{concordant(row['probe'], row['real'])}/3"
        )
    total = len(cells)
    first = sum(row["probe"][0] == row["real"][0] for row in cells)
    whole = sum(row["probe"] == row["real"] for row in cells)
    pairs = statistics.mean(concordant(row["probe"], row["real"]) / 3 for row in cells)
    print(
        f"\nsame region first: {first} of {total}; same whole ranking: {whole} of {total}; pairs in order: {pairs:.0%}"
    )
    for rule in cells[0]["others"]:
        told = [row["others"][rule] for row in cells]
        hits = sum(order[0] == row["real"][0] for order, row in zip(told, cells, strict=True))
        equal = sum(order == row["real"] for order, row in zip(told, cells, strict=True))
        print(f"  by {rule}: {hits} first, {equal} whole")
    for shift in SHIFTS:
        own = [row for row in cells if row["shift"] == shift]
        if own:
            same_first = sum(row["probe"][0] == row["real"][0] for row in own)
            print(f"  {shift:<8}{same_first} of {len(own)} first")
    return {"cells_in_all": total, "same_first": first, "same_ranking": whole, "pairs_in_order": pairs, "cells": cells}


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Go through all cells; what is finished is read."""
    began = time.perf_counter()
    weights = source_model(args)
    cells = []
    for seed in (int(word) for word in args.seeds.split(",")):
        datasets = shifted(args, seed)
        for shift in SHIFTS:
            if time.perf_counter() - began > 60 * args.minutes:
                print("stopped: the time is up; run the same again to go on")
                sys.exit(3)
            cells.append(cell(args, weights, datasets[shift], shift, seed))
            print(f"{shift}, seed {seed}: {time.perf_counter() - began:.0f} s since the start", flush=True)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/agreement"))
    parser.add_argument("--model", help="source checkpoint; pretrained here without")
    parser.add_argument("--seeds", default="2,3,4,5", help="one dataset of each shift for every seed")
    parser.add_argument("--images", type=int, default=96, help="of each dataset, half of them to validate")
    parser.add_argument("--epochs", type=int, default=6, help="of each real run")
    parser.add_argument("--lr", type=float, default=0.002, help="of each real run")
    parser.add_argument("--batches", type=int, default=6, help="that the probe looks at")
    parser.add_argument("--source-images", type=int, default=200)
    parser.add_argument("--source-epochs", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=60, help="no new cell is begun after this time")
    args = parser.parse_args()
    from frostline.training.machine import hushed

    with hushed():
        cells = measure(args)
    found = report(cells)
    (args.out / "agreement.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
