"""A training step with the first six layers frozen on a CUDA GPU: plain Ultralytics against Frostline, AMP on in both.

Milliseconds a step by CUDA events (medians, in turn) and peak memory of the allocator. Without a GPU it says that
nothing was measured.

    python benchmarks/gpu.py                          # yolo11s, random weights
    python benchmarks/gpu.py --model weights.pt --sizes 640,1280
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from levers import build, random_batch
from ultralytics import YOLO
from ultralytics.utils.torch_utils import ModelEMA

from frostline.training.arithmetic import Arithmetic

PLAIN = "plain Ultralytics, freeze={depth}"
OURS = {
    "Frostline, fp16": Arithmetic("fp16", no_grad_prefix=True),
    "Frostline, bf16": Arithmetic("bf16", no_grad_prefix=True),
    "Frostline, fp16, fold_frozen": Arithmetic("fp16", no_grad_prefix=True, fold_frozen=True),
}


def step_of(model: Any, batch: dict[str, torch.Tensor], autocast: bool, scaled: bool) -> Callable[[], None]:
    """Make the step that Ultralytics' trainer takes: forward, loss, backward, clipping, SGD, EMA."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.937)
    scaler = torch.amp.GradScaler("cuda", enabled=scaled)
    ema = ModelEMA(model)

    def step() -> None:
        with torch.autocast("cuda", enabled=autocast):
            loss, _ = model(batch)
        scaler.scale(loss.sum()).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        ema.update(model)

    return step


def timed(step: Callable[[], None]) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end))


def measure(source: Any, size: int, args: argparse.Namespace) -> dict[str, Any]:
    sides: dict[str, Arithmetic | None] = {PLAIN.format(depth=args.depth): None, **OURS}
    steps: dict[str, Callable[[], None]] = {}
    memory: dict[str, float] = {}
    cuda = torch.device("cuda")
    batch = {key: value.to(cuda) for key, value in random_batch(size, args.batch).items()}
    for name, arithmetic in sides.items():
        model = build(source, args.depth, arithmetic, cuda)
        mixed = arithmetic is None or arithmetic.precision == "fp16"
        steps[name] = step_of(model, batch, autocast=arithmetic is None, scaled=mixed)
        steps[name]()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        steps[name]()
        memory[name] = (torch.cuda.max_memory_allocated() - before) / 2**20
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.repeats):
        for name, step in steps.items():
            taken[name].append(timed(step))
    found = {name: statistics.median(values) for name, values in taken.items()}
    first = next(iter(found))
    print(f"\n{size} px, batch {args.batch}, {args.depth} layers frozen, {torch.cuda.get_device_name()}")
    for name, value in found.items():
        ratio, room = value / found[first], memory[name] / memory[first]
        print(f"  {name:<34}{value:8.1f} ms{ratio:6.2f}{memory[name]:9.0f} MiB{room:6.2f}")
    return {"imgsz": size, "ms": found, "peak_mib": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolo11s.yaml", help="checkpoint or model YAML")
    parser.add_argument("--sizes", default="640,1280")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("GPU: not measured, there is no CUDA GPU here\nJSON " + json.dumps({"gpu": None}))
        return
    source: Any = YOLO(args.model).model
    told = [measure(source, int(size), args) for size in args.sizes.split(",")]
    print("JSON " + json.dumps({"gpu": torch.cuda.get_device_name(), "model": Path(args.model).name, "sizes": told}))


if __name__ == "__main__":
    main()
