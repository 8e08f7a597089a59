"""The record of a shadow evaluation: every estimate with its interval, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from frostline.analysis.bootstrap import Resamples, Scorer, resample, work_of
from frostline.analysis.inference import compare_to_baseline, estimate_arm
from frostline.analysis.intervals import Estimate
from frostline.analysis.lighting import IOU, LightScorer
from frostline.analysis.panels import Advance, LeftOut
from frostline.analysis.stress import EDGE_BOUNDS, PLACES, StressScorer
from frostline.imaging.lighting import LIGHTS

if TYPE_CHECKING:
    from frostline.studies.shadows import ReadRun, ShadowOptions

VERSION = 1
Seed = int | None


@dataclass(frozen=True)
class Scored:
    """The runs of a panel, scored.

    Attributes:
        light: scorers by arm and seed.
        stress: the same under cast shadows; empty without a stress test.
        method: `mask` or `estimate`.
        words: the method for people.
        bounds: shares in shadow where `moderate` begins and `heavy` begins.
    """

    light: Mapping[str, Mapping[Seed, LightScorer]]
    stress: Mapping[str, Mapping[Seed, StressScorer]]
    method: str
    words: str
    bounds: tuple[float, float]


def record_of(
    scored: Sequence[Scored],
    read: Sequence[ReadRun],
    left_out: Sequence[LeftOut],
    baseline: str | None,
    options: ShadowOptions,
    advance: Advance = lambda *_: None,
) -> dict[str, Any]:
    """Estimate everything on the same draws of images, and write it as plain data.

    Args:
        scored: the panels.
        read: runs that were evaluated.
        left_out: runs that were not, or not under stress.
        baseline: arm to compare with.
        options: see `ShadowOptions`.
        advance: see `Advance`.
    """
    shadows = options.shadows
    found = [_panel(one, baseline, options, advance) for one in scored]
    cautions = list(dict.fromkeys(word for _, words in found for word in words))
    return {
        "version": VERSION,
        "iou": IOU,
        "confidence": options.confidence,
        "draws": options.draws,
        "baseline": baseline,
        "stress": None
        if shadows is None
        else {"strength": shadows.strength, "count": shadows.count, "seed": shadows.seed, "edge": list(EDGE_BOUNDS)},
        "panels": [panel for panel, _ in found],
        "runs": [{"arm": one.run.arm, "seed": one.seed, "path": str(one.run.path)} for one in read],
        "left_out": [{"run": one.label, "reason": one.reason} for one in left_out],
        "cautions": cautions,
    }


def frame_of(record: Mapping[str, Any]) -> pl.DataFrame:
    """Lay the record's estimates out as a table: a row for each panel, arm and metric."""
    rows = []
    for number, panel in enumerate(record["panels"], 1):
        for arm, told in panel["arms"].items():
            for metric, value in told["metrics"].items():
                against = panel["differences"].get(arm, {}).get(metric, {})
                row = {"panel": number, "arm": arm, "metric": metric, "seeds": len(value["seeds"])}
                row |= {key: value[key] for key in ("value", "low", "high")}
                row |= {f"difference_{key}": against.get(key) for key in ("value", "low", "high", "p_value", "p_holm")}
                rows.append(row)
    kinds = {"panel": pl.Int64, "arm": pl.String, "metric": pl.String, "seeds": pl.Int64}
    numbers = ("value", "low", "high", *(f"difference_{key}" for key in ("value", "low", "high", "p_value", "p_holm")))
    return pl.DataFrame(rows, schema={**kinds, **dict.fromkeys(numbers, pl.Float64)})


def _panel(
    scored: Scored, baseline: str | None, options: ShadowOptions, advance: Advance
) -> tuple[dict[str, Any], list[str]]:
    arms: dict[str, dict[str, Any]] = {arm: {"metrics": {}} for arm in scored.light}
    differences: dict[str, dict[str, Any]] = {}
    cautions: list[str] = []
    for scorers in (scored.light, scored.stress):
        if not scorers:
            continue
        resamples = _resampled(scorers, options.draws, advance)
        for metric in resamples.metrics:
            for arm, runs in resamples.arms.items():
                found = estimate_arm(resamples, metric, arm, options.confidence)
                values = runs.point[:, resamples.index(metric)].tolist()
                seeds = [{"seed": seed, "value": value} for seed, value in zip(runs.seeds, values, strict=True)]
                arms[arm]["metrics"][metric] = {**_written(found), "seeds": seeds}
                cautions += [word for word in found.cautions if not word.startswith("undefined")]
            if baseline in resamples.arms and len(resamples.arms) > 1:
                compared = compare_to_baseline(resamples, metric, str(baseline), options.confidence)
                for arm, (found, adjusted) in compared.items():
                    told = {**_written(found), "p_value": found.p_value, "p_holm": adjusted}
                    differences.setdefault(arm, {})[metric] = told
    for arm, lit in scored.light.items():
        arms[arm]["thresholds"] = {str(seed): one.threshold for seed, one in lit.items()}
        stressed = scored.stress.get(arm, {})
        arms[arm]["found"] = {
            place: sum(one.found[place] for one in stressed.values()) / len(stressed) for place in PLACES if stressed
        }
    first = next(iter(next(iter(scored.light.values())).values()))
    few = [light for light in LIGHTS if 0 < first.truths[light] < FEW_TRUTHS]
    if few:
        counts = ", ".join(f"{light} has {first.truths[light]}" for light in few)
        cautions.append(f"a light with few objects ({counts}): take its numbers as anecdotes")
    light = {
        "method": scored.method,
        "words": scored.words,
        "bounds": list(scored.bounds),
        "truths": dict(first.truths),
    }
    return {"images": len(first.images), "light": light, "arms": arms, "differences": differences}, cautions


FEW_TRUTHS = 30


def _resampled(scorers: Mapping[str, Mapping[Seed, Any]], draws: int, advance: Advance) -> Resamples:
    drawn: dict[str, dict[Seed, Scorer]] = {arm: dict(seeds) for arm, seeds in scorers.items()}
    total, done = work_of(sum(map(len, drawn.values())), 0, draws), 0

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        advance("drawing images", done, total)

    return resample(drawn, draws=draws, jackknife=False, advance=on_rows)


def _written(found: Estimate) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
