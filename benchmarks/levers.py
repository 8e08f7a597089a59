"""What each lever of the arithmetic gains: milliseconds a training step and a validation batch, lever by lever.

Every variant takes its turn in one process, on the same batch; medians and ratios to plain Ultralytics are printed as
a table and as one JSON line.

    python benchmarks/levers.py                                            # random weights
    python benchmarks/levers.py --model weights.pt --imgsz 640 --depths 0,6
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import ModelEMA

from frostline.freezing import Stage, apply_freeze, resolve_freeze
from frostline.training.arithmetic import Arithmetic, bf16_instructions
from frostline.training.folding import fused_copy
from frostline.training.network import follow_freeze, make_cheaper
from frostline.training.threads import usable_threads

CLASSES = 5


def shipped_threads() -> int:
    """Threads that Ultralytics leaves torch on a CPU."""
    return min(8, max((os.cpu_count() or 2) - 1, 1))


def build(source: Any, depth: int, arithmetic: Arithmetic | None, device: torch.device | None = None) -> Any:
    torch.manual_seed(0)
    model = DetectionModel(deepcopy(source.yaml), ch=3, nc=CLASSES, verbose=False)
    model.load(deepcopy(source), verbose=False)
    model.args = get_cfg()
    model.to(device).train()
    stage = Stage(freeze=f"0-{depth - 1}") if depth else Stage()
    # On a GPU Ultralytics lays tensors out so by itself.
    if device is not None or (arithmetic is not None and arithmetic.channels_last):
        model.to(memory_format=torch.channels_last)
    apply_freeze(model, resolve_freeze(model, stage, (), freeze_fresh=True))
    if arithmetic is not None:
        make_cheaper(model, arithmetic)
        follow_freeze(model)
    return model


def training_step(model: Any, batch: dict[str, torch.Tensor], threads: int, last: bool) -> Callable[[], None]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.937)
    ema = ModelEMA(model)
    layout = torch.channels_last if last else torch.contiguous_format
    images = (batch["img"] * 255).to(torch.uint8)

    def step() -> None:
        torch.set_num_threads(threads)
        loss, _ = model({**batch, "img": images.contiguous(memory_format=layout).float() / 255})
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update(model)

    return step


def validation_step(model: Any, images: torch.Tensor, threads: int) -> Callable[[], None]:
    @torch.inference_mode()
    def step() -> None:
        torch.set_num_threads(threads)
        model(images)

    return step


def random_batch(size: int, count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    boxes = 5 * count
    return {
        "img": torch.rand(count, 3, size, size, generator=generator),
        "cls": torch.randint(0, CLASSES, (boxes, 1), generator=generator).float(),
        "bboxes": torch.rand(boxes, 4, generator=generator) * 0.4 + 0.2,
        "batch_idx": torch.arange(boxes).div(5, rounding_mode="floor").float(),
    }


def variants() -> list[tuple[str, Arithmetic | None, bool]]:
    """Name, arithmetic (None for Ultralytics' own class), and whether all usable threads compute."""
    mixed = bf16_instructions() is not None
    best = "bf16" if mixed else "fp32"
    found: list[tuple[str, Arithmetic | None, bool]] = [
        ("plain Ultralytics", None, False),
        ("+ every usable thread", Arithmetic(), True),
        ("+ channels_last", Arithmetic(channels_last=True), True),
    ]
    if mixed:
        found.append(("+ precision=bf16", Arithmetic("bf16", channels_last=True), True))
    found.append(("+ no_grad_prefix", Arithmetic(best, channels_last=True, no_grad_prefix=True), True))
    both = Arithmetic(best, channels_last=True, no_grad_prefix=True, fold_frozen=True)
    return [*found, ("+ fold_frozen (off)", both, True)]


def timed(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each; the first turn does not count."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats + 1):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            taken[name].append(1000 * (time.perf_counter() - begun))
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def show(title: str, found: dict[str, float]) -> dict[str, Any]:
    first = next(iter(found.values()))
    print(f"\n{title}")
    for name, value in found.items():
        print(f"  {name:<32}{value:9.1f} ms{value / first:8.2f}")
    return {"title": title, "ms": found, "ratio": {name: round(value / first, 4) for name, value in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov5n.yaml", help="checkpoint or model YAML")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--depths", default="0,6", help="layers frozen")
    parser.add_argument("--repeats", type=int, default=12)
    args = parser.parse_args()
    source: Any = YOLO(args.model).model
    batch = random_batch(args.imgsz, args.batch)
    told = []
    for depth in map(int, args.depths.split(",")):
        steps = {
            name: training_step(
                build(source, depth, arithmetic), batch, usable_threads() if every else shipped_threads(),
                arithmetic is not None and arithmetic.channels_last,
            )
            for name, arithmetic, every in variants()
        }  # fmt: skip
        title = f"training step, first {depth} layers frozen, {args.imgsz} px, batch {args.batch}"
        told.append(show(title, timed(steps, args.repeats)))
    model = build(source, 0, None).eval()
    fused = fused_copy(model)
    images = batch["img"]
    validations = {
        "plain Ultralytics": validation_step(model, images, shipped_threads()),
        "+ every usable thread": validation_step(model, images, usable_threads()),
        "+ fused_validation": validation_step(fused, images, usable_threads()),
    }
    told.append(show(f"validation batch, {args.imgsz} px, {args.batch} images", timed(validations, args.repeats)))
    summary = {"model": Path(args.model).name, "threads": usable_threads(), "bf16": bf16_instructions(), "levers": told}
    print("JSON " + json.dumps(summary))


if __name__ == "__main__":
    main()
