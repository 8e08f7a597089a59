"""Log-chromaticity of a folder of images: the compiled pass against NumPy, same worker processes, same files, in turn.

Reading and writing uncompressed 16-bit TIFFs is included, starting the workers is not. Prints medians over rounds, the
ratio and each side's largest worker, as a table and as one JSON line.

    python benchmarks/chroma.py --images 60 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from frostline.imaging import chroma_and_saturated, read_linear, write_tiff16

ISD = (0.68, 0.58, 0.45)
SIDES = {"frostline": True, "numpy": False}


def convert(side: str, source: Path, target: Path, encode: str) -> tuple[float, float]:
    """Convert one image; return the worker's largest resident size so far and what of its memory is its own, in MB."""
    image, _ = chroma_and_saturated(read_linear(source), ISD, encode=encode, compiled=SIDES[side])
    write_tiff16(target, image, {"source": source.name})
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # libraries that all workers share included
    return resident / 1e6, psutil.Process().memory_full_info().uss / 1e6


def images_per_second(
    pool: ProcessPoolExecutor, side: str, sources: list[Path], out: Path, encode: str
) -> tuple[float, tuple[float, float]]:
    """Return images a second and the largest worker: resident and own MB."""
    begun = time.perf_counter()
    jobs = [pool.submit(convert, side, source, out / source.name, encode) for source in sources]
    sizes = [job.result() for job in jobs]
    largest = (max(size for size, _ in sizes), max(own for _, own in sizes))
    return len(sources) / (time.perf_counter() - begun), largest


def pools(workers: int, start: Callable[[str, ProcessPoolExecutor], None]) -> dict[str, ProcessPoolExecutor]:
    """Start workers for each side, as a worker's largest size is that of everything it ever did."""
    context = multiprocessing.get_context("spawn")
    made = {side: ProcessPoolExecutor(workers, mp_context=context) for side in SIDES}
    for side, pool in made.items():
        start(side, pool)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--encode", choices=("linear", "log"), default="linear")
    parser.add_argument("--size", default="1920x1280")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        sources, out = [], Path(folder) / "out"
        pixels = np.random.default_rng(0).integers(0, 65536, (height, width, 3)).astype(np.uint16)
        for index in range(args.images):
            sources.append(Path(folder) / f"{index}.tiff")
            write_tiff16(sources[-1], np.roll(pixels, index, axis=1))

        def warm(side: str, pool: ProcessPoolExecutor) -> None:
            images_per_second(pool, side, sources[: 2 * args.workers], out, args.encode)

        running = pools(args.workers, warm)
        speeds: dict[str, list[float]] = {side: [] for side in SIDES}
        memory = dict.fromkeys(SIDES, (0.0, 0.0))
        for _ in range(args.rounds):
            for side, pool in running.items():
                speed, memory[side] = images_per_second(pool, side, sources, out, args.encode)
                speeds[side].append(speed)
        for pool in running.values():
            pool.shutdown()
    medians = {side: statistics.median(values) for side, values in speeds.items()}
    ratio = statistics.median(ours / plain for ours, plain in zip(*speeds.values(), strict=True))
    print(f"{args.size}, {args.encode}, {args.workers} workers, {args.images} images, {args.rounds} rounds")
    for side in SIDES:
        each = ", ".join(f"{value:.1f}" for value in speeds[side])
        size = "{:.0f} MB a worker, {:.0f} its own".format(*memory[side])
        print(f"{side:10} {medians[side]:6.1f} images/s  ({each})  {size}")
    print(f"ratio {ratio:.1f}")
    print(json.dumps({"images_per_second": medians, "ratio": ratio, "memory_mb": memory, "rounds": speeds}))


if __name__ == "__main__":
    main()
