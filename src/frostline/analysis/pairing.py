"""Which truth each detection found: `Matches` only say that it found one, and a drawing needs to know which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.compiling import compiled
from frostline.analysis.confusing import box_iou, image_groups
from frostline.analysis.matching import TRUE, Matches


def found_truths(matches: Matches) -> NDArray[np.int64]:
    """Tell which truth each detection found at IoU 0.50.

    The outcomes stand; only the true positives are matched once more, each to its best free truth of its class. Where
    detections below a confidence are left out, those above it keep their truths: matching goes by falling score.

    Args:
        matches: by either rule.

    Returns:
        (D,) index into the truths of `matches.boxes`; -1 for a false positive.
    """
    boxes = matches.boxes
    found = np.full(len(boxes.image), -1, dtype=np.int64)
    shape = boxes.whole_box if matches.source == "ultralytics" else boxes.box
    hit = matches.outcome[0, :, 0] == TRUE
    _pair_loop(*image_groups(boxes), boxes.klass, boxes.truth_class, shape, boxes.truth_box, hit, found)
    return found


@compiled
def _pair_loop(
    order: Any, starts: Any, truth_order: Any, truth_starts: Any, klass: Any, truth_class: Any, box: Any,
    truth_box: Any, hit: Any, found: Any,
) -> None:  # fmt: skip
    for image in range(len(starts) - 1):
        truths = truth_order[truth_starts[image] : truth_starts[image + 1]]
        taken = np.zeros(len(truths), dtype=np.bool_)
        for d in order[starts[image] : starts[image + 1]]:
            if not hit[d]:
                continue
            at, best = -1, 0.0
            for j in range(len(truths)):
                if truth_class[truths[j]] == klass[d] and not taken[j]:
                    overlap = box_iou(box[d], truth_box[truths[j]])
                    if overlap > best:
                        at, best = j, overlap
            if at >= 0:
                taken[at] = True
                found[d] = truths[at]
