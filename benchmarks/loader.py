"""Images a second that training can be fed with: our 16-bit images against plain Ultralytics on 8 bits of the same.

Training batches with mosaic, one process, no loader workers. Plain Ultralytics reads 8-bit TIFFs of the images' high
bytes (or 8-bit images themselves, which both sides then read). All sides take turns in one process, an epoch each a
round; caches are filled before. Prints the medians, the ratio to plain, and one JSON line. Ultralytics keeps the last
8 batches of images for mosaic in memory: with fewer images than that, no side reads any.

    python benchmarks/loader.py                                       # rendered streets of 1920 x 1280, at 1280 px
    python benchmarks/loader.py --data data.yaml --imgsz 320
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader
from ultralytics.data.build import build_yolo_dataset
from ultralytics.utils import LOGGER

from frostline.datasets import Dataset, PixelFormat, label_path, load_dataset, pixel_format
from frostline.datasets.build import build_split
from frostline.datasets.exact import to_unit
from frostline.datasets.image_cache import ImageCache
from frostline.datasets.scenes import render_scenes


@dataclass(frozen=True)
class Side:
    """One way to make batches.

    Attributes:
        name: in the table.
        plain: by Ultralytics alone.
        cache: Ultralytics' `cache`; for ours, whether decoded images are kept.
        direct: mosaics without a canvas.
    """

    name: str
    plain: bool
    cache: str = ""
    direct: bool = False


SIDES = (
    Side("plain", True),
    Side("plain, cache=disk", True, "disk"),
    Side("plain, cache=ram", True, "ram"),
    Side("ours, neither", False),
    Side("ours, decoded images kept", False, "kept"),
    Side("ours, direct mosaic", False, direct=True),
    Side("ours, both", False, "kept", direct=True),
)


def linked(source: list[Path], folder: Path, bits8: bool) -> str:
    """Lay images and labels out in a folder of a side's own, where its caches do no harm: links, or 8-bit versions."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for image in source:
        if bits8:
            tifffile.imwrite(folder / "images" / f"{image.stem}.tif", (tifffile.imread(image) >> 8).astype(np.uint8))
        else:
            (folder / "images" / image.name).symlink_to(image.absolute())
        if label_path(image).is_file():
            (folder / "labels" / f"{image.stem}.txt").symlink_to(label_path(image).absolute())
    return str(folder / "images")


def loader(side: Side, images: str, data: Dataset, pixels: PixelFormat, args: Any, cache: ImageCache) -> Any:
    """Build a side's data loader; filling caches is part of it."""
    info = {"names": data.names, "nc": len(data.names), "channels": 3}
    if side.plain:
        args = get_cfg(args, {"cache": side.cache or False})
        dataset = build_yolo_dataset(args, images, args.batch, info, mode="train", rect=False, stride=32)
    else:
        dataset = build_split(
            args, images, args.batch, info, pixels, mode="train", rect=False, stride=32,
            images_kept=cache if side.cache else None, direct_mosaic=side.direct,
        )  # fmt: skip
    return build_dataloader(dataset, args.batch, workers=0, shuffle=True)


def epoch(batches: Any, prepare: Callable[[torch.Tensor], torch.Tensor], seed: int) -> tuple[float, float]:
    """Make every batch of an epoch as training does.

    Returns:
        Images a second to a batch in the images' type, and to one of float32 in [0, 1].
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    begun, preparing, count = time.perf_counter(), 0.0, 0
    for batch in batches:
        loaded = time.perf_counter()
        count += len(prepare(batch["img"]))
        preparing += time.perf_counter() - loaded
    seconds = time.perf_counter() - begun
    return count / (seconds - preparing), count / seconds


def source_of(args: argparse.Namespace, folder: Path) -> tuple[Dataset, list[Path]]:
    """Return the dataset and its training images, the first `--images` of them."""
    if args.data:
        data = load_dataset(args.data)
    else:
        width, height = (int(side) for side in args.size.split("x"))
        scenes = render_scenes(folder / "scenes", args.images + 2, size=(width, height), val_fraction=2 / args.images)
        data = load_dataset(str(scenes.linear))
    return data, list(data.train)[: args.images]


def measure(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], dict[str, list[tuple[float, float]]]]:
    """Build all sides and let them take turns."""
    data, images = source_of(args, folder)
    pixels = pixel_format(data)
    overrides = {
        "imgsz": args.imgsz, "batch": args.batch, "mosaic": 1.0, "hsv_h": 0.0, "hsv_s": 0.0, "augmentations": [],
        "cache": False, "task": "detect",
    }  # fmt: skip
    cache = ImageCache(folder / "cache")
    loaders, ways = {}, {}
    for number, side in enumerate(SIDES):
        place = linked(images, folder / f"side{number}", bits8=side.plain and pixels.deep)
        loaders[side.name] = loader(side, place, data, pixels, get_cfg(overrides=overrides), cache)
        deep = pixels.deep and not side.plain
        ways[side.name] = (lambda img: to_unit(img, pixels)) if deep else (lambda img: img.float() / 255)
    speeds: dict[str, list[tuple[float, float]]] = {side.name: [] for side in SIDES}
    for turn in range(args.rounds + 1):  # the first warms up
        for side in SIDES:
            speed = epoch(loaders[side.name], ways[side.name], turn)
            if turn:
                speeds[side.name].append(speed)
    about = {"kind": pixels.kind, "images": len(images), "imgsz": args.imgsz, "batch": args.batch}
    return about, speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="data.yaml; rendered streets without")
    parser.add_argument("--images", type=int, default=96, help="training images, at most")
    parser.add_argument("--size", default="1920x1280", help="of rendered streets")
    parser.add_argument("--imgsz", type=int, default=1280)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    LOGGER.setLevel(logging.ERROR)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as folder:
        about, speeds = measure(args, Path(folder))
    print(f"{about['images']} images of {about['kind']} at {args.imgsz} px, batch {args.batch}, {args.rounds} rounds")
    print("| side | images/s, loaded | of plain | images/s, float batch | of plain |\n| --- | --- | --- | --- | --- |")
    results = {name: summary(rounds, speeds["plain"]) for name, rounds in speeds.items()}
    for name, row in results.items():
        print(f"| {name} | {row['loaded']:.1f} | x {row['loaded_ratio']:.2f} | {row['float']:.1f} ", end="")
        print(f"| x {row['float_ratio']:.2f} |")
    print(json.dumps({**about, "sides": results}))


def summary(rounds: list[tuple[float, float]], plain: list[tuple[float, float]]) -> dict[str, float]:
    """Return medians over rounds, and the medians of the ratios to plain in the same round."""
    row = {}
    for place, name in enumerate(("loaded", "float")):
        row[name] = statistics.median(rate[place] for rate in rounds)
        row[f"{name}_ratio"] = statistics.median(
            rate[place] / base[place] for rate, base in zip(rounds, plain, strict=True)
        )
    return row


if __name__ == "__main__":
    main()
