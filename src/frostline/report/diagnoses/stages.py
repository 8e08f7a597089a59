"""Two stages: is the second worse than the first, and what is the likely cause?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from frostline.report.diagnoses.facts import Facts, RunFacts, StageFacts, points
from frostline.report.diagnoses.model import Diagnosis

FIRST_EPOCHS = 3
"""Epochs in which too high a rate shows: Ultralytics' warm-up, in which it rises from 0, has 3."""

FAR_BELOW = 0.5
"""Share of the first stage's mAP below which the second stage's very first epoch starts from something else."""

SCATTERS = 2.0
"""Standard deviations between epochs within which two bests are not told apart."""

_LEAST_BENDS = 4  # for a scatter worth the name


@dataclass(frozen=True)
class Pair:
    """Two consecutive stages, of one run or of two runs.

    Attributes:
        runs: one run or two.
        first, second: the stages.
        right: whether the second starts from the first's best checkpoint; None where the files do not tell.
        model: what it starts from.
    """

    runs: tuple[RunFacts, ...]
    first: StageFacts
    second: StageFacts
    right: bool | None
    model: str

    @property
    def names(self) -> tuple[str, str]:
        """Both in words."""
        if len(self.runs) == 1:
            return f"stage {self.first.number}", f"stage {self.second.number}"
        return self.runs[0].label, self.runs[1].label


def worse_stages(facts: Facts) -> list[Diagnosis]:
    """Find stages that end below the one before, and tell the likely cause."""
    found = []
    for pair in pairs(facts):
        before, after = pair.first.best, pair.second.best
        if before is None or after is None or after >= before:
            continue
        one, (first, second) = pair.runs[-1], pair.names
        fall = f"{second} reaches mAP50-95 {points(after)}, {first} {points(before)} ({points(after - before, True)})"
        title = f"Stage {pair.second.number} is worse than stage {pair.first.number}"
        if len(pair.runs) == 2:
            title = "Stage 2 is worse than stage 1"
        scatter = scatter_of(pair.second.values)
        if wrong := _wrong_checkpoint(pair):
            cause, try_ = wrong, [f"start {second} from {first}'s weights/best.pt"]
        elif scatter is not None and before - after <= SCATTERS * scatter:
            cause = f"no more than {SCATTERS:g} times what lies between epochs ({points(scatter)}): this may be chance"
            found.append(one.says("worse-stage", "note", title, f"{fall}; {cause}", "more seeds, or more epochs"))
            continue
        elif rate := _learning_rate(pair):
            cause = f"likely the learning rate: {rate}"
            try_ = [
                f"lr0={_rate(pair.second) / 5:g} for {second}, or a third to a tenth of it",
                f"a longer warm-up (warmup_epochs) of {second}, so that the rate rises slowly",
            ]
        else:
            cause = "the files name no cause: it starts from the right checkpoint and does not fall in its first epochs"
            if pair.right is None:
                cause = "the files name no cause"
            try_ = [f"more epochs for {second}", f"a lower lr0 for {second}"]
        try_.append("take the first stage's best: frostline keeps the better stage as the run's best.pt")
        found.append(one.says("worse-stage", "warning", title, f"{fall}; {cause}", *try_))
    return found


def pairs(facts: Facts) -> Iterator[Pair]:
    """Give the pairs of consecutive stages: within runs, and of two runs of which one starts from the other."""
    for one in facts.runs:
        for first, second in zip(one.stages, one.stages[1:], strict=False):
            model = str(second.arguments.get("model") or "")
            place = one.run.path.resolve() / f"stage{first.number}" / "weights"
            yield Pair((one,), first, second, _is_best(model, place, 5 if one.run.seed is not None else 4), model)
    singles = [one for one in facts.runs if len(one.stages) == 1]
    for one in singles:
        model = str(one.record.get("model") or one.arguments.get("model") or "")
        for other in singles:
            if other is not one and _data(other) == _data(one) and (link := _link(other, one, model)) is not None:
                yield Pair((other, one), other.stages[0], one.stages[0], link, model)


def scatter_of(values: Sequence[float]) -> float | None:
    """Estimate the standard deviation of a curve around itself, from its second half; None for too short a curve.

    By the median bend of three epochs in a row, which neither a steady rise nor single jumps change.
    """
    bends = np.diff(values[len(values) // 2 :], n=2)
    if len(bends) < _LEAST_BENDS:
        return None
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6))


def _wrong_checkpoint(pair: Pair) -> str | None:
    first = pair.names[0]
    if pair.right is False:
        return f"it did not start from {first}'s best.pt but from {_tail(pair.model)}"
    end, start = pair.first.values[-1:], pair.second.values[:1]
    # With the right file named, a first epoch far below is what a rate does.
    if pair.right is None and end and start and start[0] < FAR_BELOW * end[0]:
        return (
            f"its first epoch has {points(start[0])} and {first} ended at {points(end[0])}, as if it had started from "
            "other weights; from which, the files do not tell"
        )
    return None


def _learning_rate(pair: Pair) -> str | None:
    before, after, best = _rate(pair.first), _rate(pair.second), pair.first.best
    values = pair.second.values[:FIRST_EPOCHS]
    if not before or not after or after < before or best is None or not values or min(values) >= best:
        return None
    first, second = pair.names
    return (
        f"lr0 is {after:g} in {second} and {before:g} in {first}, and mAP50-95 falls from {points(best)} to "
        f"{points(min(values))} within its first {len(values)} epochs"
    )


def _rate(stage: StageFacts) -> float:
    value = stage.arguments.get("lr0")
    return float(value) if isinstance(value, int | float) else 0.0


def _link(first: RunFacts, second: RunFacts, model: str) -> bool | None:
    """Whether a run is another's second stage: True from its best.pt, False from elsewhere, None if it is not."""
    place, file = first.run.path.resolve() / "weights", PurePath(model)
    if _same_end(file.parent, place, 3):
        return file.name == "best.pt"
    ours, theirs = second.run.path.name, first.run.path.name
    named = "stage2" in ours and ours.replace("stage2", "stage1") == theirs
    return False if named and model and second.run.path.parent == first.run.path.parent else None


def _is_best(model: str, place: Path, parts: int) -> bool | None:
    if not model:
        return None
    file = PurePath(model)
    # Without an epoch better than none there is no best.pt, and the stage goes on from last.pt.
    names = {"best.pt"} if (place / "best.pt").is_file() or not (place / "last.pt").is_file() else {"last.pt"}
    return file.name in names and _same_end(file.parent, place, parts - 1)


def _same_end(path: PurePath, other: PurePath, parts: int) -> bool:
    """Whether two folders end alike: a study may have been moved since."""
    return path.parts[-parts:] == other.parts[-parts:]


def _data(one: RunFacts) -> str:
    return str(one.record.get("data") or one.arguments.get("data"))


def _tail(model: str) -> str:
    return "/".join(PurePath(model).parts[-4:])
