"""The verdict in words, made from the numbers and only from them: which arm, by how much, how sure, what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from frostline.analysis.convergence import convergence_frame, cost_frame
from frostline.analysis.depth import FrostLine, frost_line
from frostline.analysis.evidence import Evidence
from frostline.analysis.findings import arm_frame, cautions, hypothesis_frame, needed_frame
from frostline.analysis.inference import ONE_POINT
from frostline.analysis.metrics import LOWER_IS_BETTER

LEVEL = 0.05
_METRIC = "mAP50-95"
_MOST_NAMED = 4
_MOST_SEEDS = 1000  # more are no advice
_ENOUGH = 0.8  # chance of finding a difference that is there

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class WordedVerdict:
    """What the runs say.

    Attributes:
        headline: the answer in one sentence.
        sentences: what stands behind it, what it cost, and what would make it surer.
        frost_line: how deep one may freeze, where depths were compared.
        cautions: why the intervals may hold less often, or mean less, than they claim.
    """

    headline: str
    sentences: tuple[str, ...]
    frost_line: FrostLine | None
    cautions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it as one paragraph."""
        return " ".join((self.headline, *self.sentences, *(f"Mind: {caution}." for caution in self.cautions)))


@dataclass(frozen=True)
class Frames:
    """The frames that a verdict is worded from, made once."""

    arms: pl.DataFrame
    convergence: pl.DataFrame
    cost: pl.DataFrame
    needed: pl.DataFrame
    hypotheses: pl.DataFrame

    @classmethod
    def of(cls, evidence: Evidence) -> Frames:
        """Make them all."""
        return cls(
            arm_frame(evidence), convergence_frame(evidence), cost_frame(evidence), needed_frame(evidence),
            hypothesis_frame(evidence),
        )  # fmt: skip


def word(evidence: Evidence, frames: Frames | None = None, margin: float = ONE_POINT) -> WordedVerdict:
    """Word the verdict.

    An arm is called better or worse than the baseline when its Holm-adjusted p-value is below 5 %, and as good as it
    when the two differ by less than `margin` for sure (equivalence at 5 %).

    Args:
        evidence: what `gather` gives.
        frames: made from it, if they are there already.
        margin: as in `arm_frame`.
    """
    frames = frames or Frames.of(evidence)
    line, minded = frost_line(evidence, margin=margin), tuple(cautions(evidence))
    rows = {str(row["arm"]): row for row in frames.arms.iter_rows(named=True)}
    others = [row for arm, row in rows.items() if arm != evidence.baseline]
    compared = [row for row in others if row[f"{_METRIC}_difference"] is not None]
    if evidence.baseline is None or not compared:
        return WordedVerdict(_without_baseline(evidence, rows), _answers(frames.hypotheses), line, minded)
    better, worse = (_decided(compared, sign) for sign in (1, -1))
    told = {row["arm"] for row in (*better, *worse)}
    same = [row for row in compared if row[f"{_METRIC}_equivalent"] and row["arm"] not in told]
    undecided = [row for row in compared if row["arm"] not in told and row not in same]
    base = rows[evidence.baseline]
    sentences = [_baseline_sentence(evidence, base)]
    if min(row["runs"] for row in (base, *compared)) == 1:
        sentences.insert(0, "With one seed an arm this holds for these very weights: other seeds may say otherwise.")
    for group, what in ((better[1:], "Also above it"), (worse, "Below it")):
        if group:
            sentences.append(f"{what}: {_listed(group)}.")
    if same:
        sentences.append(f"Shown to be within {_points(margin, sign=False)} of it either way: {_listed(same)}.")
    if undecided:
        adjusted = f", adjusted for {len(compared)} comparisons" if len(compared) > 1 else ""
        sentences.append(f"Neither a difference nor its absence is shown{adjusted}: {_listed(undecided)}.")
    sentences += _frost_sentences(line, margin)
    best = better[0] if better else None
    sentences += _cost_sentences(frames, evidence.baseline, best or _fastest_as_good(frames, same))
    sentences += _surer(frames.needed, undecided, margin)
    sentences += _answers(frames.hypotheses)
    return WordedVerdict(_headline(evidence, better, worse, same, undecided, margin), tuple(sentences), line, minded)


def _decided(rows: Sequence[_Row], sign: int) -> list[_Row]:
    found = [
        row
        for row in rows
        if row[f"{_METRIC}_p_holm"] is not None
        and row[f"{_METRIC}_p_holm"] < LEVEL
        and sign * row[f"{_METRIC}_difference"] > 0
        and sign * row[f"{_METRIC}_difference_{'low' if sign > 0 else 'high'}"] > 0
    ]
    return sorted(found, key=lambda row: -sign * row[f"{_METRIC}_difference"])


def _headline(
    evidence: Evidence,
    better: Sequence[_Row],
    worse: Sequence[_Row],
    same: Sequence[_Row],
    undecided: Sequence[_Row],
    margin: float,
) -> str:
    baseline = evidence.baseline
    if better:
        best = better[0]
        sure = f"Holm-adjusted p {_p(best[f'{_METRIC}_p_holm'])}"
        chance = best[f"{_METRIC}_best"]
        also = "" if chance is None else f", best of all arms in {_share(chance)} of the draws"
        return (
            f"{best['arm']} ends above {baseline}: {_difference(best, evidence.confidence)} of {_METRIC}, {sure}{also}."
        )
    if same and not undecided and not worse:
        most = _points(margin, sign=False)
        return f"No arm differs from {baseline} by more than {most} of {_METRIC}, and that is shown."
    if worse and not undecided and not same:
        return f"{_names(worse) if len(worse) == 1 else 'Every other arm'} ends below {baseline}."
    if worse:
        more = "the rest is undecided" if undecided else "the others are as good"
        return f"No arm is shown to end above {baseline}; {_names(worse)} end{_s(worse)} below it, {more}."
    if same:
        return f"{_names(same)} {'is' if len(same) == 1 else 'are'} as good as {baseline}; the rest is undecided."
    return f"No difference between any arm and {baseline} is shown, and none is ruled out: these runs do not decide."


def _baseline_sentence(evidence: Evidence, base: _Row) -> str:
    interval = f"{_percent(base[f'{_METRIC}_low'])} to {_percent(base[f'{_METRIC}_high'])}"
    seeds = base["runs"]
    return (
        f"{evidence.baseline} reaches {_percent(base[_METRIC])} of {_METRIC} ({_share(evidence.confidence)} interval "
        f"{interval}; {seeds} seed{'s' if seeds != 1 else ''}, {base['images']} validation images)."
    )


def _frost_sentences(line: FrostLine | None, margin: float) -> list[str]:
    if line is None:
        return []
    within = _points(margin, sign=False)
    if line.depth is None:
        return [
            f"The frost line is undecided: of no depth is it shown that it costs less than {within}"
            + (f", and of {_numbers(line.beyond)} that it costs more." if line.beyond else ", nor that it costs more.")
        ]
    if line.depth == 0:
        tried = _numbers(line.beyond)
        return [f"The frost line is 0: every depth tried ({tried}) costs more than {within} (one-sided tests at 5 %)."]
    deeper = [depth for depth in (*line.open, *line.beyond) if depth > line.depth]
    undecided = [depth for depth in line.open if depth > line.depth]
    more = f"; {_numbers(undecided)} undecided" if undecided else "; deeper ones cost more" if deeper else ""
    return [f"The frost line is {line.depth}: freezing the first {line.depth} layers costs less than {within}{more}."]


def _cost_sentences(frames: Frames, baseline: str, chosen: _Row | None) -> list[str]:
    if chosen is None:
        return []
    arm = chosen["arm"]
    cost = frames.cost.row(by_predicate=pl.col("arm") == arm, named=True)
    speed = frames.convergence.row(by_predicate=pl.col("arm") == arm, named=True)
    said = []
    if cost["epoch_ratio"] is not None:
        said.append(f"an epoch of {arm} takes {cost['epoch_ratio']:.2f} times as long as one of {baseline}")
    sooner = speed["epochs_to_90_difference"]
    if sooner is not None and speed["epochs_to_90"] is not None:
        low, high = speed["epochs_to_90_difference_low"], speed["epochs_to_90_difference_high"]
        told = "" if low is None else f" ({low:+.1f} to {high:+.1f})"
        compared = f"{abs(sooner):.1f} {'fewer' if sooner < 0 else 'more'}{told}" if sooner else "as many"
        said.append(f"it needs {speed['epochs_to_90']:.1f} epochs to 90 % of its final mAP50, {compared}")
    return [_sentence("; ".join(said))] if said else []


def _fastest_as_good(frames: Frames, same: Sequence[_Row]) -> _Row | None:
    ratios = dict(frames.cost.select("arm", "epoch_ratio").iter_rows())
    timed = [row for row in same if ratios.get(row["arm"]) is not None]
    return min(timed, key=lambda row: float(ratios[row["arm"]]), default=None)


def _surer(needed: pl.DataFrame, rows: Sequence[_Row], effect: float) -> list[str]:
    """Say what would settle the arm that is nearest to being settled."""
    open_arms = [row["arm"] for row in rows]
    found = needed.filter(pl.col("arm").is_in(open_arms))
    if found.is_empty():
        return []
    row = found.sort("power", descending=True, nulls_last=True).row(0, named=True)
    if row["power"] is not None and row["power"] >= _ENOUGH:
        return []
    now = "" if row["power"] is None else f"; today it is {_share(row['power'])}"
    ways = []
    if row["seeds"] is not None and row["seeds"] <= _MOST_SEEDS:
        ways.append(f"{row['seeds']:,} seeds an arm on these images")
    if row["images"] is not None:
        ways.append(f"{row['images']:,} validation images with these seeds")
    finding = (
        f"a difference of {_points(effect, sign=False)} between {row['arm']} and the baseline with a chance of 80 %"
    )
    if ways:
        return [f"To find {finding}, it would take about {' or '.join(ways)}{now}."]
    if row["power"] is None:
        return [f"With one seed nothing tells how far runs of one arm differ: add seeds before asking for {finding}."]
    return [f"Neither more seeds alone nor more images alone would find {finding}{now}: it takes both."]


def _answers(hypotheses: pl.DataFrame) -> tuple[str, ...]:
    said = []
    for row in hypotheses.iter_rows(named=True):
        if row["difference"] is None or row["low"] is None:
            why = f": {row['reason']}" if row["reason"] else ""
            said.append(f'Hypothesis "{row["name"]}": {row["answer"]}{why}.')
            continue
        once = row["metric"] in LOWER_IS_BETTER
        value, low, high = (_plain(row[k]) if once else _points(row[k], False) for k in ("difference", "low", "high"))
        said.append(
            f'Hypothesis "{row["name"]}": {row["answer"]} ({row["metric"]}, {row["better"]} minus {row["than"]}: '
            f"{value}, {low} to {high}{'' if once else ' points'})."
        )
    return tuple(said)


def _without_baseline(evidence: Evidence, rows: Mapping[str, _Row]) -> str:
    scored = {arm: row[_METRIC] for arm, row in rows.items() if row[_METRIC] is not None}
    if not scored:
        return "No run that counts has a final mAP: there is nothing to compare yet."
    best = max(scored, key=lambda arm: scored[arm])
    if len(rows) == 1:
        return f"One arm, {best}, with {_percent(scored[best])} of {_METRIC}: there is nothing to compare it with."
    if evidence.baseline is None:
        why = "no arm freezes nothing, so there is no baseline; name one to have differences"
    elif evidence.panel_of(evidence.baseline) is None:
        why = f"{evidence.baseline} has no predictions, so nothing tells how sure that is"
    else:
        why = "no other arm was evaluated on the same images with predictions kept, so nothing tells how sure that is"
    return f"{best} has the highest {_METRIC}, {_percent(scored[best])}, but {why}."


def _difference(row: _Row, confidence: float) -> str:
    value, low, high = (row[f"{_METRIC}_difference{part}"] for part in ("", "_low", "_high"))
    return f"{_points(value)} ({_share(confidence)} interval {_points(low, False)} to {_points(high, False)})"


def _listed(rows: Sequence[_Row]) -> str:
    told = [f"{row['arm']} ({_interval(row)})" for row in rows[:_MOST_NAMED]]
    return ", ".join(told) + (f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else "")


def _interval(row: _Row) -> str:
    value, low, high = (row[f"{_METRIC}_difference{part}"] for part in ("", "_low", "_high"))
    return f"{100 * value:+.1f}, {100 * low:+.1f} to {100 * high:+.1f}"


def _names(rows: Sequence[_Row]) -> str:
    names = [str(row["arm"]) for row in rows[:_MOST_NAMED]]
    if len(rows) > _MOST_NAMED:
        return f"{', '.join(names)} and {len(rows) - _MOST_NAMED} more"
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


def _s(rows: Sequence[_Row]) -> str:
    return "s" if len(rows) == 1 else ""


def _points(value: float, unit: bool = True, *, sign: bool = True) -> str:
    text = f"{100 * value:+.1f}" if sign else f"{100 * value:g}"
    return f"{text} point{'' if abs(100 * value) == 1 else 's'}" if unit else text


def _plain(value: float) -> str:
    return f"{value:+.1f}"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.1f} %"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
