"""How often a nominal 95 % interval holds the truth: synthetic studies whose truth is known by a very large simulation.

    python benchmarks/interval_coverage.py --studies 1000

A study has two arms, validation images shared by all runs, and seeds shared by the arms. An object's score is the
arm's quality, plus what the seed, the image, the object and the seed on that object add, each drawn anew for a study;
false detections score too. AP50 is computed as for a real run. What differs between the columns is how the interval
treats the seeds.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.ap import Ranking, precision_table
from frostline.analysis.bootstrap import Group, Spread, image_weights, spread
from frostline.analysis.intervals import interval

Values = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What drives the scores, as standard deviations in units of the score's own spread.

    Attributes:
        gain: quality of the second arm above the first.
        seed: of a seed, in both arms.
        arm_seed: of a seed in one arm alone.
        image: of an image, in all runs.
        object: of an object, in all runs.
        run: of an object in one run alone.
        arm_image: of an image in one arm alone.
    """

    gain: float = 0.1
    seed: float = 0.1
    arm_seed: float = 0.1
    image: float = 0.5
    object: float = 0.6
    run: float = 0.6
    arm_image: float = 0.3


WORLDS = {
    "typical": World(),
    "seeds differ little": World(seed=0.01, arm_seed=0.01),
    "seeds differ much": World(seed=0.3, arm_seed=0.3),
}


def rankings(world: World, images: int, seeds: int, rng: np.random.Generator) -> list[list[Ranking]]:
    """Draw one study: rankings by arm and seed, of one class at one IoU threshold."""
    truth_count, false_count = 1 + rng.poisson(2.5, images), rng.poisson(6.0, images)
    truth_image, false_image = np.repeat(np.arange(images), truth_count), np.repeat(np.arange(images), false_count)
    shared = world.image * rng.standard_normal(images)[truth_image]
    shared += world.object * rng.standard_normal(len(truth_image))
    alarm = 0.5 * rng.standard_normal(images)[false_image]
    common = world.seed * rng.standard_normal(seeds)
    study = []
    for arm in range(2):
        own_image = world.arm_image * rng.standard_normal(images)
        own_seed = common + world.arm_seed * rng.standard_normal(seeds)
        runs = []
        for s in range(seeds):
            quality = 1.0 + world.gain * arm + own_seed[s]
            hits = quality + shared + own_image[truth_image] + world.run * rng.standard_normal(len(truth_image))
            alarms = alarm + 0.7 * rng.standard_normal(len(false_image))
            # An object that scores low is not found at all.
            found = hits > -0.5
            runs.append(_ranking(images, truth_image, truth_image[found], hits[found], false_image, alarms))
        study.append(runs)
    return study


def _ranking(
    images: int, truths: Values, hit_image: Values, hits: Values, false_image: Values, alarms: Values
) -> Ranking:
    order = np.argsort(-np.concatenate([hits, alarms]), kind="stable")
    image = np.concatenate([hit_image, false_image])[order].astype(np.int32)
    hit = np.flatnonzero(order < len(hits))
    return Ranking(
        shape=(1, 1, 1),
        strict=False,
        truths=np.bincount(truths, minlength=images).astype(np.int32)[None],
        base_image=image,
        base_start=np.array([0]),
        stop=hit + 1,
        stop_start=np.array([0, len(hit)]),
        slot=np.arange(len(hit), dtype=np.int32),
        image=image[hit],
        start=np.array([0, len(hit)]),
        turn=np.zeros(0, np.int64),
        turn_hit=np.zeros(0, np.bool_),
        turn_extra=np.zeros(0, np.int8),
        turn_start=np.array([0, 0]),
    )


def ap(ranking: Ranking, weights: NDArray[np.int32]) -> Values:
    return precision_table(ranking, weights).ap[:, 0, 0, 0]


def truth(world: World, runs: int = 400, images: int = 2000) -> Values:
    """Mean AP of each arm over very many seeds and images."""
    rng = np.random.default_rng(99)
    ones = np.ones((1, images), np.int32)
    values = [[ap(arm[0], ones)[0] for arm in rankings(world, images, 1, rng)] for _ in range(runs)]
    return np.mean(values, axis=0)


def resampled_seeds(group: Group, rng: np.random.Generator, correct: bool) -> Spread:
    """Draw seeds with replacement, then images: what one would do first, for comparison."""
    seeds, draws = len(group.point), len(group.draws)
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    mean = group.draws.mean(axis=1)
    deviation = (weights * group.draws).sum(axis=1) - mean
    stretch = np.sqrt(seeds / (seeds - 1)) if correct and seeds > 1 else 1.0
    return Spread(float(group.point.mean()), mean + stretch * deviation, 0.0, None, 0.0)


COLUMNS = ("resampled", "rescaled", "percentile", "BCa")


def one_study(index: int, world: World, images: int, seeds: int, draws: int, goal: Values) -> NDArray[np.float64]:
    """Return (2 quantities, 4 columns, 2): whether the interval holds the truth, and its width."""
    rng = np.random.default_rng([7, index, images, seeds])
    study = rankings(world, images, seeds, rng)
    weights = np.concatenate(
        [np.ones((1, images), np.int32), image_weights(images, draws, index), (1 - np.eye(images)).astype(np.int32)]
    )
    tables = np.stack([[ap(run, weights) for run in arm] for arm in study])  # (arm, seed, rows)
    out = np.zeros((2, len(COLUMNS), 2))
    for q, (table, target) in enumerate(((tables[1], goal[1]), (tables[1] - tables[0], goal[1] - goal[0]))):
        group = Group(1.0, 0, table[:, 0], table[:, 1 : draws + 1].T, table[:, draws + 1 :].T)
        ours = spread([group], index)
        found = [
            interval(resampled_seeds(group, rng, False)),
            interval(resampled_seeds(group, rng, True)),
            interval(ours),
            interval(ours, method="bca"),
        ]
        out[q, :, 0] = [low <= target <= high for low, high in found]
        out[q, :, 1] = [high - low for low, high in found]
    return out


def cell(world: World, images: int, seeds: int, studies: int, draws: int, goal: Values, processes: int) -> Values:
    """Mean over studies of `one_study`."""
    work = partial(one_study, world=world, images=images, seeds=seeds, draws=draws, goal=goal)
    if processes == 1:
        return np.mean([work(index) for index in range(studies)], axis=0)
    with ProcessPoolExecutor(processes) as pool:
        return np.mean(list(pool.map(work, range(studies), chunksize=10)), axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--images", type=int, nargs="+", default=[200])
    parser.add_argument("--seeds", type=int, nargs="+", default=[5])
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    print(f"{options.studies} studies a cell, {options.draws} draws; coverage in % (mean width in points of AP50)")
    print("| world | images | seeds | quantity | " + " | ".join(COLUMNS) + " |")
    for name in options.worlds:
        world = WORLDS[name]
        goal = truth(replace(world))
        for images in options.images:
            for seeds in options.seeds:
                began = time.perf_counter()
                table = cell(world, images, seeds, options.studies, options.draws, goal, options.processes)
                for quantity, row in zip(("arm", "difference"), table, strict=True):
                    cells = [f"{100 * held:.1f} ({100 * width:.1f})" for held, width in row]
                    print(f"| {name} | {images} | {seeds} | {quantity} | " + " | ".join(cells) + " |", flush=True)
                print(f"  {time.perf_counter() - began:.0f} s; truth {goal.round(4)}", flush=True)


if __name__ == "__main__":
    main()
