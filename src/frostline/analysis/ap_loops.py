"""The compiled loops of `ap.py`: average precision of sixteen draws side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from frostline.analysis.blocks import LANES, packed_sum, running_sums
from frostline.analysis.compiling import compiled, inlined

_ASKED_INDEX = 60  # of recall 0.6

# Rows of the state of a cell. LLVM vectorises a loop over few arrays whose shape it knows, and gives up on many.
_TOTAL, _HUNDREDTHS, _HITS, _CORRECTION, _PASSED, _BEST, _AREA, _ASKED = range(8)


def passed_at_ties(strict: bool) -> tuple[np.int64, np.int64]:
    """Say for each recall k / 100 whether it is passed by a detector that finds just k / 100 of the truths.

    The recalls of the table are k * 0.01 as floats, some of which are larger than k / 100.

    Args:
        strict: only recalls below that of the detector are passed.

    Returns:
        Bits of the recalls from 0 to 63 and from 64 on.
    """
    k = np.arange(101)
    passed = np.zeros(128, np.bool_)
    passed[:101] = k * 0.01 < k / 100 if strict else k * 0.01 <= k / 100
    low, high = np.packbits(passed, bitorder="little").view(np.int64)
    return low, high


@compiled
def precision_loop(
    weights: Any, packed: Any, room: Any, truths: Any, base_image: Any, base_start: Any, stop: Any, stop_start: Any,
    slot: Any, image: Any, start: Any, turn: Any, turn_hit: Any, turn_extra: Any, turn_start: Any, levels: Any,
    strict: Any, low: Any, high: Any, ap: Any, at_recall: Any,
) -> None:  # fmt: skip
    """Fill (blocks, cells, 16) tables from a `Ranking`; `low` and `high` are of `passed_at_ties`."""
    longest = 1
    for group in range(len(base_start)):
        longest = max(longest, stop_start[group + 1] - stop_start[group])
    table, parts = np.zeros((longest, LANES), np.int32), np.zeros((longest, 2), np.int64)
    state = np.zeros((8, LANES))
    for block in range(len(weights)):
        for group in range(len(base_start)):
            stops = stop[stop_start[group] : stop_start[group + 1]]
            running_sums(packed[block], room, base_image, base_start[group], stops, parts, table)
            for cell in range(group * levels, (group + 1) * levels):
                first, end = start[cell], start[cell + 1]
                turns = slice(turn_start[cell], turn_start[cell + 1])
                _begin(
                    weights[block], packed[block], room, truths[block, group], image, first, end, turn[turns],
                    turn_hit[turns], turn_extra[turns], low, high, parts, state,
                )  # fmt: skip
                _walk(
                    weights[block], table, slot, image, first, end, turn[turns], turn_hit[turns], turn_extra[turns],
                    low, high, state,
                )  # fmt: skip
                for lane in range(LANES):
                    if truths[block, group, lane] > 0:
                        best, area = state[_BEST, lane], state[_AREA, lane]
                        if strict:
                            ap[block, cell, lane] = (area - best / 2) / 100
                        else:
                            ap[block, cell, lane] = (area + best) / 101  # recall 0 is passed without any hit
                        at_recall[block, cell, lane] = state[_ASKED, lane]


@inlined
def _passed(hits: float, hundredths: float, total: float, low: Any, high: Any) -> float:
    """Count the recalls of the table that `hits` out of `total` pass.

    A quotient would be exact and slow. The nearest recall need not be: halfway between two, both give the same count.
    """
    nearest = np.floor(hits * hundredths + 0.5)
    over = 100.0 * hits - nearest * total
    k = np.int64(nearest)
    tie = ((low if k < 64 else high) >> (k & 63)) & 1
    return float(nearest + (1.0 if (over > 0.0) | ((over == 0.0) & (tie != 0)) else 0.0))


@inlined
def _begin(
    weight: Any, packed: Any, room: Any, truths: Any, image: Any, first: Any, end: Any, turn: Any, turn_hit: Any,
    turn_extra: Any, low: Any, high: Any, parts: Any, state: Any,
) -> None:  # fmt: skip
    """Set the state to what it is after the last event."""
    state[:] = 0.0
    lanes = parts.view(np.uint8)
    for at in range(first, end, room):
        parts[0, 0], parts[0, 1] = packed_sum(packed, image, at, min(at + room, end))
        for lane in range(LANES):
            state[_HITS, lane] += lanes[0, lane]
    for t in range(len(turn)):
        row = weight[image[turn[t]]]
        for lane in range(LANES):
            state[_CORRECTION, lane] += turn_extra[t] * row[lane]
            state[_HITS, lane] -= 0 if turn_hit[t] else row[lane]
    for lane in range(LANES):
        total = max(truths[lane], 1.0)
        state[_TOTAL, lane], state[_HUNDREDTHS, lane] = total, 100.0 / total
        state[_PASSED, lane] = _passed(state[_HITS, lane], 100.0 / total, total, low, high)


@inlined
def _walk(
    weight: Any, table: Any, slot: Any, image: Any, first: Any, end: Any, turn: Any, turn_hit: Any, turn_extra: Any,
    low: Any, high: Any, state: Any,
) -> None:  # fmt: skip
    """Go from the last event to the first, and take back at each turn what it added."""
    for t in range(len(turn) - 1, -1, -1):
        at = turn[t]
        _walk_hits(weight, table, slot, image, at if turn_hit[t] else at + 1, end, low, high, state)
        row = weight[image[at]]
        for lane in range(LANES):
            state[_CORRECTION, lane] -= turn_extra[t] * row[lane]
        end = at
    _walk_hits(weight, table, slot, image, first, end, low, high, state)


@inlined
def _walk_hits(
    weight: Any, table: Any, slot: Any, image: Any, first: Any, end: Any, low: Any, high: Any, state: Any
) -> None:
    """Add up the envelope of precision from the last true positive to the first: it is the best precision seen so far.

    One whose image was not drawn changes nothing: its precision is at most that of the hit before it.
    """
    for e in range(end - 1, first - 1, -1):
        row, running = weight[image[e]], table[slot[e]]
        for lane in range(LANES):
            hits, after, best = state[_HITS, lane], state[_PASSED, lane], state[_BEST, lane]
            asked = state[_ASKED, lane]
            found = running[lane] + state[_CORRECTION, lane]
            best = max(best, hits / max(found, 1.0))
            state[_ASKED, lane] = best if after > _ASKED_INDEX else asked
            hits -= row[lane]
            before = _passed(hits, state[_HUNDREDTHS, lane], state[_TOTAL, lane], low, high)
            state[_AREA, lane] += best * (after - before)
            state[_HITS, lane], state[_PASSED, lane], state[_BEST, lane] = hits, before, best
