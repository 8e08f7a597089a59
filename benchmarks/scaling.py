"""Time of an epoch and peak memory against image size, frozen depth, and arms trained together, beside what FLOPs say.

What it gains to train the first layers only is measured too.

Plain Ultralytics with `freeze=` and ours at full speed, each point a process of its own, the two in turn. A point is
the median of its steps, loading included, the first two left out, as seconds for 100 training images; and the peak of
the resident set up to the last step. Arms together are whole studies by `frostline study run --together`, where that
option exists, beside the same without it: seconds of an epoch of all arms are the difference between a study of three
epochs and one of one, halved.

Writes `scaling.json`, `scaling.md` and a figure a question into the work folder.

    python benchmarks/scaling.py --out runs/scaling --model weights.pt
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from scaling_figures import draw
from scaling_together import arms_together, has_together

HERE = Path(__file__).parent
SIDES = ("plain", "ours")
WARM_UP = 2  # steps


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def streets(args: argparse.Namespace, imgsz: int) -> str:
    """Render streets as wide as the images of a run, as many as its steps take; return their data.yaml."""
    from frostline.datasets.scenes import render_scenes

    count = args.steps * args.batch
    size = (imgsz, round(imgsz * 2 / 3))
    folder = args.out / "scenes" / f"{imgsz}_{count}"
    return str(render_scenes(folder, images=count + 2, seed=0, size=size, val_fraction=2 / (count + 2)).srgb)


def measure(args: argparse.Namespace, side: str, imgsz: int, depth: int, only: int = 0) -> dict[str, Any]:
    """Measure one point, or read it where it was measured before; `only` that many leading layers train, if any."""
    known = args.out / "points" / f"{side}_{imgsz}_{depth}_{only}_{args.steps}x{args.batch}.json"
    if not known.is_file():
        words = [
            sys.executable, str(HERE / "scaling_side.py"), side, "--model", args.model, "--data", streets(args, imgsz),
            "--project", str(args.out.resolve() / "work" / known.stem), "--imgsz", str(imgsz), "--batch",
            str(args.batch), "--depth", str(depth), "--train-only", str(only), "--device", args.device,
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        lines = [line for line in done.stdout.splitlines() if line.startswith("POINT ")]
        if not lines:
            sys.exit(f"failed ({done.returncode}): {' '.join(words)}\n{(done.stdout + done.stderr)[-2000:]}")
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(lines[-1].removeprefix("POINT ") + "\n", encoding="utf-8")
    found = json.loads(known.read_text(encoding="utf-8"))
    steps = found["step_seconds"][WARM_UP:]
    seconds = 100 * statistics.median(steps) / args.batch
    megabytes = found["peak_bytes"] / 2**20
    plan = f"first {only} only" if only else f"depth {depth}"
    print(f"{side:<6}{imgsz:>5} px  {plan:<13}{seconds:7.2f} s  {megabytes:7.0f} MiB", flush=True)
    return {
        "side": side, "imgsz": imgsz, "depth": depth, "only": only, "seconds": seconds, "megabytes": megabytes,
        "steps": len(steps),
    }  # fmt: skip


def flops(model: str, imgsz: int, depth: int, only: int = 0) -> float:
    """Operations of a training step on one image: a frozen prefix is run forward, the rest forward and backward.

    A backward pass costs twice its forward pass: one product for the gradient of the inputs and one for that of the
    weights. Source: Kaplan et al. 2020, "Scaling Laws for Neural Language Models", section 2.1. Where `only` that many
    leading layers train, the others need no gradient of their weights.
    """
    from frostline.freezing import layer_table
    from frostline.training import open_model
    from frostline.training.machine import hushed

    with hushed():
        module = open_model(model, False)
    forward = [layer.flops for layer in layer_table(module, imgsz).layers]
    if only:
        return float(3 * sum(forward[:only]) + 2 * sum(forward[only:]))
    return float(sum(forward[:depth]) + 3 * sum(forward[depth:]))


def backbone(model: str) -> int:
    """Count the layers of a model's backbone."""
    from frostline.freezing import layer_roles
    from frostline.training import open_model
    from frostline.training.machine import hushed

    with hushed():
        return layer_roles(open_model(model, False)).count("backbone")


def against(
    args: argparse.Namespace, key: str, points: list[tuple[int, int]], reference: tuple[int, int]
) -> dict[str, Any]:
    """Measure both sides at some points, and predict each from one of them by the FLOPs.

    Args:
        args: of the program.
        key: what varies: `imgsz` or `depth`.
        points: (image size, depth).
        reference: the point at which prediction and measurement are equal.
    """
    rows = [measure(args, side, *point) for point in points for side in SIDES]
    base = {row["side"]: row["seconds"] for row in rows if (row["imgsz"], row["depth"]) == reference}
    unit = flops(args.model, *reference)
    for row in rows:
        row["predicted"] = base[row["side"]] * flops(args.model, row["imgsz"], row["depth"]) / unit
    return {"key": key, "reference": dict(zip(("imgsz", "depth"), reference, strict=True)), "rows": rows}


def first_only(args: argparse.Namespace) -> dict[str, Any]:
    """Measure what it gains to train the first layers only, beside freezing as many and freezing nothing."""
    rows = []
    for side in SIDES:
        points = [(0, 0), (args.only, 0), (0, args.only)]
        own = [measure(args, side, args.size, depth, only) for depth, only in points]
        unit = own[0]["seconds"] / flops(args.model, args.size, 0)
        names = ("nothing frozen", f"first {args.only} frozen", f"first {args.only} only")
        for row, point, name in zip(own, points, names, strict=True):
            rows.append({**row, "plan": name, "predicted": unit * flops(args.model, args.size, *point)})
    return {"key": "plan", "reference": {}, "rows": rows}


def table(found: dict[str, Any]) -> str:
    key = found["key"]
    lines = [
        f"| {key} | side | s for 100 images | by FLOPs | peak MiB |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row[key]} | {row['side']} | {row['seconds']:.2f} | {row['predicted']:.2f} | {row['megabytes']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/scaling"), help="work folder")
    parser.add_argument("--figures", type=Path, help="folder of the figures; by default the work folder")
    parser.add_argument("--model", default="yolov5n.yaml", help="checkpoint or model YAML")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12, help=f"of each point, the first {WARM_UP} not counted")
    parser.add_argument("--sizes", default="160,320,480,640")
    parser.add_argument("--size", type=int, default=320, help="image size of the question of depth")
    parser.add_argument("--depths", help="frozen depths; every second one up to the backbone by default")
    parser.add_argument("--only", type=int, default=6, help="leading layers that alone train, in one more comparison")
    parser.add_argument("--arms", default="1,2,4,8", help="arms trained together; empty for none")
    parser.add_argument("--arms-size", type=int, default=160, help="image size of that question")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.steps <= WARM_UP:
        parser.error(f"--steps {args.steps}: expected more than {WARM_UP}")
    args.out.mkdir(parents=True, exist_ok=True)
    named = args.model
    if named.endswith(".pt"):  # under some names, as yolov5n.pt, Ultralytics takes another checkpoint
        args.model = str((args.out / "start.pt").resolve())
        shutil.copyfile(named, args.model)
    sizes, deepest = numbers(args.sizes), backbone(args.model)
    depths = numbers(args.depths) if args.depths else sorted({*range(0, deepest, 2), deepest})
    middle = args.size if args.size in sizes else sizes[0]
    found = {
        "image_size": against(args, "imgsz", [(size, 0) for size in sizes], (middle, 0)),
        "frozen_depth": against(args, "depth", [(args.size, depth) for depth in depths], (args.size, depths[0])),
        "first_layers_only": first_only(args),
    }
    counts = numbers(args.arms)
    if counts and has_together():
        found["arms_together"] = arms_together(args, counts, streets(args, args.arms_size), flops, deepest)
    elif counts:
        print("arms together: left out, `frostline study run` has no --together in this version")
    args.model = named
    report(args, found)


def report(args: argparse.Namespace, found: dict[str, Any]) -> None:
    text = "\n\n".join(table(part) for part in found.values())
    (args.out / "scaling.md").write_text(text + "\n", encoding="utf-8")
    print("\n" + text)
    folder = args.figures or args.out
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in found.items():
        if part["key"] == "plan":  # a table says it all
            continue
        print(f"figure: {draw(folder / f'{name}.png', part, args)}")
    given = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    whole = {**given, "cores": os.cpu_count(), "load": list(os.getloadavg()), **found}
    (args.out / "scaling.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print("JSON " + json.dumps(whole))


if __name__ == "__main__":
    main()
