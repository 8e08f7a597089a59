"""Log-chromaticity of a folder of images: the compiled pass against NumPy, same worker processes, same files, in turn.

Reading and writing uncompressed 16-bit TIFFs is included, starting the workers is not. Prints medians over rounds, the
ratio and the memory of each side's largest worker, as a table and as one JSON line: its peak, what is resident while
both images are held, and the proportional set, in which what workers share counts in parts. Runs on Linux.

    python benchmarks/chroma.py --images 60 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from frostline.imaging import chroma_and_saturated, read_linear, write_tiff16
from frostline.imaging.parallel import worker_pool

ISD = (0.68, 0.58, 0.45)
SIDES = {"frostline": True, "numpy": False}


def convert(side: str, source: Path, target: Path, encode: str) -> None:
    """Convert one image."""
    image, _ = chroma_and_saturated(read_linear(source), ISD, encode=encode, compiled=SIDES[side])
    write_tiff16(target, image, {"source": source.name})


def weigh(side: str, source: Path, target: Path, encode: str) -> dict[str, float]:
    """Convert one image; return what the worker holds, in MB, with both images in memory."""
    linear = read_linear(source)
    image, _ = chroma_and_saturated(linear, ISD, encode=encode, compiled=SIDES[side])
    write_tiff16(target, image, {"source": source.name})
    sizes = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held = {"peak": status["VmHWM"], "resident": sizes["Rss"], "proportional": sizes["Pss"]}
    return {name: int(size.split()[0]) * 1024 / 1e6 for name, size in held.items()}


def images_per_second(pool: ProcessPoolExecutor, side: str, sources: list[Path], out: Path, encode: str) -> float:
    """Convert all images and return images a second."""
    begun = time.perf_counter()
    for job in [pool.submit(convert, side, source, out / source.name, encode) for source in sources]:
        job.result()
    return len(sources) / (time.perf_counter() - begun)


def pools(workers: int) -> dict[str, ProcessPoolExecutor]:
    """Start workers for each side: ours as a conversion does, NumPy's with nothing but what NumPy needs."""
    spawned = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    return {"frostline": worker_pool(workers, "frostline.imaging.preload"), "numpy": spawned}


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

        running = pools(args.workers)
        for side, pool in running.items():
            images_per_second(pool, side, sources[: 2 * args.workers], out, args.encode)
        speeds: dict[str, list[float]] = {side: [] for side in SIDES}
        memory: dict[str, dict[str, float]] = {}
        for _ in range(args.rounds):
            for side, pool in running.items():
                speeds[side].append(images_per_second(pool, side, sources, out, args.encode))
        for side, pool in running.items():
            jobs = [pool.submit(weigh, side, source, out / source.name, args.encode) for source in sources]
            held = [job.result() for job in jobs]
            memory[side] = {name: max(sizes[name] for sizes in held) for name in held[0]}
            pool.shutdown()
    medians = {side: statistics.median(values) for side, values in speeds.items()}
    ratio = statistics.median(ours / plain for ours, plain in zip(*speeds.values(), strict=True))
    print(f"{args.size}, {args.encode}, {args.workers} workers, {args.images} images, {args.rounds} rounds")
    for side in SIDES:
        each = ", ".join(f"{value:.1f}" for value in speeds[side])
        size = "{peak:.0f} MB a worker at its peak; {resident:.0f} resident, {proportional:.0f} proportional".format(
            **memory[side]
        )
        print(f"{side:10} {medians[side]:6.1f} images/s  ({each})  {size}")
    print(f"ratio {ratio:.1f}")
    print(json.dumps({"images_per_second": medians, "ratio": ratio, "memory_mb": memory, "rounds": speeds}))


if __name__ == "__main__":
    main()
