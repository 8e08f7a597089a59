"""How many objects are found, by how far they are hidden: recall by occlusion, where the labels tell.

YOLO's label files do not say what hides an object. KITTI's do, and `frostline data convert` keeps it in a table beside
data.yaml. The truths of a run are found again in that table by image, class and box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from frostline.analysis.compiling import compiled
from frostline.analysis.confidence import confidence_curves
from frostline.analysis.confusing import box_iou, image_groups
from frostline.analysis.matching import Boxes, Matches
from frostline.analysis.runs import RunFolder
from frostline.errors import InputError
from frostline.files import MOST_YAML_BYTES, OBJECT_TABLE, parse_yaml, read_bounded, read_lines

OCCLUSIONS = ("fully visible", "partly occluded", "largely occluded", "unknown")
"""KITTI's levels 0 to 3 (Geiger, Lenz, Urtasun, CVPR 2012)."""

SAME_BOX = 0.9
"""IoU above which a truth and a row of the table are the same object; labels are rounded, and resized with images."""

FIXED_CONF = 0.25
_COLUMNS = ("image", "class", "left", "top", "right", "bottom", "occlusion")


@dataclass(frozen=True)
class ObjectTable:
    """The objects of a dataset whose occlusion is known.

    Attributes:
        path: the file.
        by_image: rows (class name, box in pixels, occlusion) by the image's name without suffix.
    """

    path: Path
    by_image: Mapping[str, tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.int64]]]

    def rows(self, image: str) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.int64]] | None:
        """Return the rows of an image: by its path without suffix, or else by its name alone, where only one has it.

        Both are relative to a folder that is not always the same: a split whose images all lie in one sub-folder lacks
        that folder in the predictions.
        """
        name = image if image in self.by_image else image.rsplit(".", 1)[0]
        if name not in self.by_image:
            alike = self._by_name.get(name.rpartition("/")[2], [])
            if len(alike) != 1:
                return None
            name = alike[0]
        return self.by_image[name]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self.by_image:
            found.setdefault(key.rpartition("/")[2], []).append(key)
        return found


def find_table(run: RunFolder) -> Path | None:
    """Return the table of the dataset that a run was evaluated on; None where there is none.

    It lies beside data.yaml or in its `path:`. What data.yaml is, `run.json`, `evaluation.json` or `args.yaml` says.
    """
    named = run.text("data") or run.arguments.get("data")
    if not isinstance(named, str):
        return None
    file = Path(named)
    folders = [file.parent]
    try:
        content = parse_yaml(read_bounded(file, MOST_YAML_BYTES).decode("utf-8"), unique=False)
        if isinstance(content, Mapping) and isinstance(content.get("path"), str):
            folders.append(file.parent / content["path"])
    except (OSError, ValueError, yaml.YAMLError):  # moved since: the table may have stayed, or not
        pass
    return next((folder / OBJECT_TABLE for folder in folders if (folder / OBJECT_TABLE).is_file()), None)


def read_table(path: Path) -> ObjectTable:
    """Read a table of occlusion.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    kinds = {"image": pl.String, "class": pl.String, **dict.fromkeys(_COLUMNS[2:6], pl.Float64), "occlusion": pl.Int64}
    try:
        read_lines(path)  # the table's own reader takes lines of any length
        frame = pl.read_csv(path, schema_overrides=kinds, columns=list(_COLUMNS))
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path}: is no table with {', '.join(_COLUMNS)} ({str(error).splitlines()[0]}); make it again with "
            "data convert, or remove it"
        ) from error
    by_image = {}
    for (name,), rows in frame.drop_nulls().group_by("image", maintain_order=True):
        box = rows.select(_COLUMNS[2:6]).to_numpy()
        by_image[str(name)] = (tuple(rows["class"]), box, rows["occlusion"].to_numpy())
    return ObjectTable(path, by_image)


def occlusion_levels(boxes: Boxes, table: ObjectTable) -> NDArray[np.int64]:
    """Look up the occlusion of each truth.

    Args:
        boxes: what `read_boxes` gives.
        table: of the dataset.

    Returns:
        (G,) 0 to 3, in the order of the truths; -1 where no row is of the same image and class with an IoU above
        `SAME_BOX`. The pairs with the highest IoU go first, and each row is one truth's.
    """
    levels = np.full(len(boxes.truth_image), -1, dtype=np.int64)
    for index, image in enumerate(boxes.images):
        truths = np.flatnonzero(boxes.truth_image == index)
        found = table.rows(image) if len(truths) else None
        if found is None:
            continue
        classes, box, occlusion = found
        overlap = _iou_table(boxes.truth_box[truths], box)
        named = np.array([boxes.names[k] for k in boxes.truth_class[truths]], dtype=object)
        overlap[named[:, None] != np.array(classes, dtype=object)[None, :]] = 0.0
        while overlap.size and overlap.max() > SAME_BOX:
            truth, row = np.unravel_index(int(overlap.argmax()), overlap.shape)
            levels[truths[truth]] = occlusion[row] if 0 <= occlusion[row] < len(OCCLUSIONS) else -1
            overlap[truth], overlap[:, row] = 0.0, 0.0
    return levels


def found_at(boxes: Boxes, iou: float = 0.5) -> NDArray[np.float64]:
    """Say at which confidence each truth is found: that of the detection of its class that takes it.

    By falling confidence, each detection takes its best free truth, so that a threshold on the confidence changes
    nothing for the detections above it: a truth counts as found at every threshold up to this value.

    Args:
        boxes: what `read_boxes` gives; detections are not cut off at the border, as Ultralytics matches them.
        iou: least IoU, in [0, 1].

    Returns:
        (G,) confidences, in the order of the truths; -1 for a truth that nothing finds.
    """
    out = np.full(len(boxes.truth_image), -1.0)
    _found_loop(
        *image_groups(boxes), boxes.klass, boxes.truth_class, boxes.score.astype(np.float64), boxes.whole_box,
        boxes.truth_box, iou, out,
    )  # fmt: skip
    return out


class OcclusionScorer:
    """Recall at IoU 0.50 by occlusion, of all classes together; a `bootstrap.Scorer`.

    `occlusion/recall/<level>` is at the confidence where the run's own mean F1 over classes is best, which is where
    Ultralytics reports precision and recall; it is chosen once on all images and stays as they are drawn.
    `occlusion/recall_at_0.25/<level>` is at the same confidence for every run.

    Args:
        boxes: of the run; `RunScorer.boxes`, or what `read_boxes` gives.
        matches: `RunScorer.ultralytics`, or what `match_ultralytics` gives.
        table: of its dataset.

    Attributes:
        truths: (4,) truths of each level.
        unpaired: truths that are not in the table.
        threshold: the run's confidence of best F1.
    """

    metrics: tuple[str, ...] = tuple(
        f"occlusion/{kind}/{level}" for kind in ("recall", f"recall_at_{FIXED_CONF:g}") for level in OCCLUSIONS
    )

    def __init__(self, boxes: Boxes, matches: Matches, table: ObjectTable) -> None:
        levels, score = occlusion_levels(boxes, table), found_at(boxes)
        self._images = boxes.images
        self.threshold = confidence_curves(matches).best_threshold
        self.unpaired = int(np.sum(levels < 0))
        shape = (len(boxes.images), len(OCCLUSIONS))
        known = levels >= 0
        self._truths = _counted(shape, boxes.truth_image[known], levels[known])
        self._found = np.stack(
            [
                _counted(shape, boxes.truth_image[hit], levels[hit])
                for hit in (known & (score > threshold) for threshold in (self.threshold, FIXED_CONF))
            ]
        )
        self.truths = self._truths.sum(axis=0)

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the validation images, sorted."""
        return self._images

    def __call__(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Give (R, 8) recalls for (R, I) weights of the images; NaN for a level without truths."""
        drawn = weights.astype(np.float64)
        total = drawn @ self._truths
        parts = [np.where(total > 0, drawn @ found / np.maximum(total, 1), np.nan) for found in self._found]
        return np.concatenate(parts, axis=1)


def _counted(shape: tuple[int, int], image: NDArray[Any], level: NDArray[Any]) -> NDArray[np.float64]:
    counts = np.zeros(shape)
    np.add.at(counts, (image, level), 1)
    return counts


def _iou_table(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, m) IoU of every pair."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b))
    union = area_a[:, None] + area_b[None, :] - inside
    table: NDArray[np.float64] = np.where(union > 0, inside / np.maximum(union, 1e-12), 0.0)
    return table


@compiled
def _found_loop(
    order: Any, starts: Any, truth_order: Any, truth_starts: Any, klass: Any, truth_class: Any, score: Any, box: Any,
    truth_box: Any, iou: Any, out: Any,
) -> None:  # fmt: skip
    for image in range(len(starts) - 1):
        truths = truth_order[truth_starts[image] : truth_starts[image + 1]]
        for d in order[starts[image] : starts[image + 1]]:
            found, best = -1, iou
            for t in truths:
                if truth_class[t] != klass[d] or out[t] >= 0:
                    continue
                overlap = box_iou(truth_box[t], box[d])
                if overlap >= best and (found < 0 or overlap > best):
                    found, best = t, overlap
            if found >= 0:
                out[found] = score[d]
