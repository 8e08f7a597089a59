"""How long a detector takes for one image: measured on the device at hand, once it has warmed up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.data.augment import LetterBox
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import nms
from ultralytics.utils.patches import imread

from frostline.datasets import PixelFormat
from frostline.datasets.exact import read_exact, to_unit
from frostline.training.evaluation import NO_TIME_LIMIT
from frostline.training.machine import describe_device, hushed, load_average, use_all_cores
from frostline.training.threads import usable_threads

SECONDS = 0.25
"""Time that the measured passes may take together, once there are `LEAST` of them."""

LEAST, MOST = 3, 30
IMAGES = 8
CONF, IOU, MAX_DET = 0.25, 0.7, 300


def measure_inference(
    weights: Path,
    images: Sequence[Path],
    pixels: PixelFormat,
    *,
    imgsz: int,
    device: str,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Measure the milliseconds from one image's tensor to its boxes.

    A pass is the forward of the network, convolutions and BatchNorm fused, in float32, and non-maximum suppression at
    the settings of `predict` (confidence 0.25, IoU 0.7), for a batch of one image. Reading the file, resizing it and
    moving it to the device are not in it. The images take turns, letterboxed to a square.

    Args:
        weights: a checkpoint that was opened safely before.
        images: of a split; `IMAGES` of them are used, evenly spread.
        pixels: of the images.
        imgsz: side of the square input, pixels.
        device: `cpu`, `mps` or a GPU's number.
        seconds: after which no pass is begun, from the third on.

    Returns:
        `ms` (median of `passes` timed ones), `ms_low` and `ms_high` (their quartiles), and what it was measured on and
        with: `device`, `threads` (CPU), `load_average` (other work makes a CPU slower), `imgsz`, `batch`, `conf`,
        `iou`, `max_det`.
    """
    where = torch.device(f"cuda:{device}" if device.isdigit() else device)
    if where.type == "cpu":
        use_all_cores()
    with hushed():
        network = load_checkpoint(str(weights), device=where, fuse=True)[0]
    spread = np.unique(np.linspace(0, len(images) - 1, min(IMAGES, len(images))).round().astype(int))
    inputs = [_tensor(images[index], pixels, imgsz).to(where) for index in spread]
    end2end = bool(getattr(network, "end2end", False))

    def one_pass(image: torch.Tensor) -> float:
        _wait(where)
        started = time.perf_counter()
        nms.non_max_suppression(network(image), CONF, IOU, max_det=MAX_DET, max_time_img=NO_TIME_LIMIT, end2end=end2end)
        _wait(where)
        return 1000 * (time.perf_counter() - started)

    with torch.inference_mode():
        taken = _passes(one_pass, inputs, seconds)
    low, middle, high = np.quantile(taken, (0.25, 0.5, 0.75)) if len(taken) > 1 else (taken[0],) * 3
    return {
        "ms": round(float(middle), 3),
        "ms_low": round(float(low), 3),
        "ms_high": round(float(high), 3),
        "passes": len(taken),
        "device": describe_device(device),
        "threads": usable_threads() if where.type == "cpu" else None,
        "load_average": load_average(),
        "imgsz": imgsz,
        "batch": 1,
        "conf": CONF,
        "iou": IOU,
        "max_det": MAX_DET,
    }


def _passes(one_pass: Any, inputs: Sequence[torch.Tensor], seconds: float) -> list[float]:
    """Time passes until there are enough, after as many that do not count: the first are slow."""
    first = [one_pass(inputs[0])]
    while len(first) < (5 if statistics.median(first) < 20 else LEAST) and sum(first) < 1000 * seconds / 3:
        first.append(one_pass(inputs[len(first) % len(inputs)]))
    taken: list[float] = []
    while len(taken) < MOST and (len(taken) < LEAST or sum(taken) < 1000 * seconds):
        taken.append(one_pass(inputs[len(taken) % len(inputs)]))
    return taken


def _tensor(path: Path, pixels: PixelFormat, imgsz: int) -> torch.Tensor:
    """Read an image as the network sees it: (1, 3, imgsz, imgsz), red, green, blue, in [0, 1]."""
    image = read_exact(path, pixels) if pixels.exact else imread(str(path))
    boxed = LetterBox((imgsz, imgsz), auto=False, padding_value=pixels.padding)
    stacked = boxed(image=image)[None, ..., ::-1].transpose(0, 3, 1, 2)
    return to_unit(torch.from_numpy(np.ascontiguousarray(stacked)), pixels)


def _wait(device: torch.device) -> None:
    """Let a GPU finish what was queued; on it, work is only begun when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
