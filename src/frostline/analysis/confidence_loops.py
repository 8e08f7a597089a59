"""The compiled loops of `confidence.py`: precision, recall and F1 by confidence, of sixteen draws side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from frostline.analysis.blocks import LANES, running_sums
from frostline.analysis.compiling import compiled, inlined

# The lowest bit of each byte of a word, the highest, and all others.
_ONES = np.int64(0x0101010101010101)
_HIGH_BITS = np.int64(-0x7F7F7F7F7F7F7F80)
_OTHER_BITS = np.int64(0x7F7F7F7F7F7F7F7F)
_FARTHEST = 255

# Rows of the state: truths, whether there are any; of the step that a threshold is on the score above it, the score
# below it (then the way between), whether a detection below is a hit, where both are; precision, recall, their rise.
_TOTAL, _KNOWN, _ABOVE, _BELOW, _GAIN, _BEFORE, _PLACE, _PRECISION, _RECALL, _MORE_PRECISION, _MORE_RECALL = range(11)


@compiled
def curve_loop(
    packed: Any, room: Any, image: Any, score: Any, hit: Any, edges: Any, position: Any, hit_image: Any,
    hits_before: Any, truths: Any, grid: Any, eps: Any, precision: Any, recall: Any, f1: Any,
) -> None:  # fmt: skip
    """Fill curves as `np.interp` over the detections gives them; an image drawn w times has w equal detections.

    Precision and recall are (C, 1000, 16); F1 is (1000, 16), the sum over the classes with truths.
    """
    last, points = len(grid) - 1, len(grid)
    found, hits = np.zeros((points, LANES), np.int32), np.zeros((points, LANES), np.int32)
    parts, state, sums = np.zeros((points, 2), np.int64), np.zeros((11, LANES)), np.zeros((points, LANES))
    for k in range(len(truths)):
        first, end = edges[k], edges[k + 1]
        running_sums(packed, room, image, first, position[k], parts, found)
        running_sums(packed, room, hit_image, hits_before[first], hits_before[position[k]], parts, hits)
        for lane in range(LANES):
            state[_TOTAL, lane] = max(truths[k, lane], 1.0)
            state[_KNOWN, lane], state[_PLACE, lane] = 1.0 if truths[k, lane] > 0 else 0.0, first - 1
        for s in range(points):
            p = position[k, s]
            if s == 0 or p != position[k, s - 1]:
                _look_around(packed, image, score, hit, first, p, end, state)
                _set_step(found[s], hits[s], end, state)
            x = grid[last - s]
            for lane in range(LANES):
                slope = (state[_ABOVE, lane] - x) / state[_BELOW, lane]
                a = state[_PRECISION, lane] + slope * state[_MORE_PRECISION, lane]
                b = state[_RECALL, lane] + slope * state[_MORE_RECALL, lane]
                precision[k, last - s, lane], recall[k, last - s, lane] = a, b
                sums[last - s, lane] += state[_KNOWN, lane] * (2 * a * b / (a + b + eps))
    f1[:] = sums


@inlined
def _gaps(packed: Any, image: Any, start: Any, stop: Any, way: Any) -> Any:
    """Count in each draw the detections from `start` on, up to `stop`, that come before the first drawn one."""
    a = b = _ONES
    m = n = np.int64(0)
    i, left = start, min(abs(stop - start), _FARTHEST)
    while left > 0 and (a | b) != 0:
        u, v = packed[image[i], 0], packed[image[i], 1]
        # A 1 in each byte that is 0.
        a &= ((~(((u & _OTHER_BITS) + _OTHER_BITS) | u) & _HIGH_BITS) >> 7) & _ONES
        b &= ((~(((v & _OTHER_BITS) + _OTHER_BITS) | v) & _HIGH_BITS) >> 7) & _ONES
        m += a
        n += b
        i += way
        left -= 1
    return m, n


@inlined
def _look_around(packed: Any, image: Any, score: Any, hit: Any, first: Any, p: Any, end: Any, state: Any) -> None:
    """Find in each draw the last detection before `p` and the first from there on, which is `end` where none is.

    What is far away is kept from the position before, or sought where that one did not look: draws without detections
    would take long otherwise.
    """
    before, after = _gaps(packed, image, p - 1, first - 1, -1), _gaps(packed, image, p, end, 1)
    for half in range(2):
        for byte in range(8):
            lane = 8 * half + byte
            back, ahead = (before[half] >> (8 * byte)) & 255, (after[half] >> (8 * byte)) & 255
            far = max(back, ahead) == _FARTHEST
            if far and state[_PLACE, lane] >= p:
                back, ahead = p - 1 - np.int64(state[_BEFORE, lane]), np.int64(state[_PLACE, lane]) - p
            elif far:
                while p - 1 - back >= first and (packed[image[p - 1 - back], half] >> (8 * byte)) & 255 == 0:
                    back += 1
                while p + ahead < end and (packed[image[p + ahead], half] >> (8 * byte)) & 255 == 0:
                    ahead += 1
            state[_ABOVE, lane] = score[max(p - 1 - back, 0)]
            state[_BELOW, lane], state[_GAIN, lane] = score[p + ahead], hit[p + ahead]
            state[_BEFORE, lane], state[_PLACE, lane] = p - 1 - back, p + ahead


@inlined
def _set_step(found: Any, hits: Any, end: Any, state: Any) -> None:
    """Turn what is above and below into the step between them; it is flat where nothing is above or nothing below."""
    for lane in range(LANES):
        n, h, total, known = np.float64(found[lane]), np.float64(hits[lane]), state[_TOTAL, lane], state[_KNOWN, lane]
        gain, way = state[_GAIN, lane], state[_ABOVE, lane] - state[_BELOW, lane]
        some, more = min(n, 1.0) * known, 1.0 if state[_PLACE, lane] < end else 0.0
        moves = some * more
        precision, recall = h / max(n, 1.0), h / total * some
        precision = precision if some > 0.0 else known * more
        state[_PRECISION, lane], state[_RECALL, lane] = precision, recall
        state[_MORE_PRECISION, lane] = ((h + gain) / (n + 1.0) - precision) * moves
        state[_MORE_RECALL, lane] = ((h + gain) / total - recall) * moves
        state[_ABOVE, lane] *= moves
        state[_BELOW, lane] = way if moves > 0.0 else 1.0


@compiled
def best_loop(f1: Any, truths: Any, half: Any, best: Any, sure: Any) -> None:
    """Find the best smoothed mean F1 of each draw by sums that slide, and whether no other comes near it."""
    points = len(f1)
    window, smooth = np.zeros(LANES), np.zeros((points, LANES))
    for lane in range(LANES):
        count = 0
        for k in range(len(truths)):
            count += truths[k, lane] > 0
        for i in range(points):
            f1[i, lane] /= max(count, 1)
        window[lane] = (half + 1) * f1[0, lane]
        for i in range(1, half + 1):
            window[lane] += f1[min(i, points - 1), lane]
    for i in range(points):
        for lane in range(LANES):
            smooth[i, lane] = window[lane]
            window[lane] += f1[min(i + half + 1, points - 1), lane] - f1[max(i - half, 0), lane]
    for lane in range(LANES):
        at = 0
        for i in range(points):
            if smooth[i, lane] > smooth[at, lane]:
                at = i
        near = 0
        for i in range(points):
            near += smooth[i, lane] > smooth[at, lane] - 1e-9
        best[lane], sure[lane] = at, near == 1


@compiled
def means_at(precision: Any, recall: Any, truths: Any, best: Any, eps: Any, out: Any) -> None:
    """Fill (3, 16) means of precision, recall and F1 over the classes with truths, at each draw's best threshold."""
    for lane in range(LANES):
        at, count, total_p, total_r, total_f1 = best[lane], 0, 0.0, 0.0, 0.0
        for k in range(len(truths)):
            if truths[k, lane] > 0:
                p, r = precision[k, at, lane], recall[k, at, lane]
                count += 1
                total_p += p
                total_r += r
                total_f1 += 2 * p * r / (p + r + eps)
        if count:
            out[0, lane], out[1, lane], out[2, lane] = total_p / count, total_r / count, total_f1 / count
