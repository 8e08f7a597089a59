"""Average precision as COCO defines it, computed by faster-coco-eval from a table of detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from frostline.analysis.predictions import BOX
from frostline.errors import InputError

# Order of the area axis: that of faster-coco-eval's `Params.areaRngLbl`.
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_IOU50, _IOU75 = 0, 5  # of the ten IoU thresholds 0.50, 0.55, ..., 0.95


@dataclass(frozen=True)
class CocoMetrics:
    """COCO average precision, each in [0, 1], or None where the ground truth holds nothing to find.

    Attributes:
        map50_95: mean over classes and the ten IoU thresholds 0.50 to 0.95.
        map50: mean over classes at IoU 0.50.
        map75: mean over classes at IoU 0.75.
        ap_small: `map50_95` over objects of at most 32 x 32 pixels of the original image.
        ap_medium: `map50_95` over objects between 32 x 32 and 96 x 96 pixels.
        ap_large: `map50_95` over objects of at least 96 x 96 pixels.
        ap50_per_class: AP at IoU 0.50 by class id.
        ap_per_class: AP over the ten IoU thresholds by class id.
    """

    map50_95: float | None
    map50: float | None
    map75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ap50_per_class: Mapping[int, float | None]
    ap_per_class: Mapping[int, float | None]


def evaluate_coco(frame: pl.DataFrame, names: Mapping[int, str], max_det: int) -> CocoMetrics:
    """Compute COCO's average precision: 101-point interpolated, greedy matching by falling score.

    An object's area is that of its box, as detection labels have no masks. It decides only whether the object counts
    as small, medium or large.

    Args:
        frame: the columns of `predictions.SCHEMA`. An image without any box may be left out: a false detection needs
            no image row, and an image without detections and truths changes nothing.
        names: class names by id; every class of the frame must be in it.
        max_det: best-scored detections of **one class in one image** that count. COCO's own default is 100; give what
            NMS was limited to (300 as Ultralytics validates), and nothing that the detector returned is cut off.

    Raises:
        InputError: a class id that `names` lacks, or `max_det` below 1.

    Source: Lin et al., "Microsoft COCO: Common Objects in Context", 2014, and the COCO detection evaluation.
    """
    if max_det < 1:
        raise InputError(f"max_det is {max_det}, expected at least 1")
    found = frame.filter(pl.col("kind") != "image").get_column("class_id").unique().to_list()
    unknown = sorted(set(found) - set(names))
    if unknown:
        raise InputError(f"class ids {unknown} have no name; the names are {dict(names)}")
    class_ids = sorted(names)
    precision = _precision(frame, names, max_det)
    return CocoMetrics(
        map50_95=_mean(precision[:, :, :, _ALL]),
        map50=_mean(precision[_IOU50, :, :, _ALL]),
        map75=_mean(precision[_IOU75, :, :, _ALL]),
        ap_small=_mean(precision[:, :, :, _SMALL]),
        ap_medium=_mean(precision[:, :, :, _MEDIUM]),
        ap_large=_mean(precision[:, :, :, _LARGE]),
        ap50_per_class={key: _mean(precision[_IOU50, :, k, _ALL]) for k, key in enumerate(class_ids)},
        ap_per_class={key: _mean(precision[:, :, k, _ALL]) for k, key in enumerate(class_ids)},
    )


def _precision(frame: pl.DataFrame, names: Mapping[int, str], max_det: int) -> NDArray[np.float64]:
    """Interpolated precision, (10 IoU thresholds, 101 recalls, classes, 4 area ranges); -1 where nothing is to find."""
    from faster_coco_eval import COCO, COCOeval_faster

    images = {name: index for index, name in enumerate(frame.get_column("image").unique().sort(), start=1)}
    tables = []
    for kind in ("truth", "prediction"):
        table = COCO(print_function=_silent)
        # Set by hand: `loadRes` adds a polygon to each detection, which a hundred thousand boxes have no use for.
        table.dataset = {
            "images": [{"id": index} for index in images.values()],
            "categories": [{"id": key, "name": name} for key, name in sorted(names.items())],
            "annotations": _annotations(frame.filter(pl.col("kind") == kind), images),
        }
        table.createIndex()
        tables.append(table)
    evaluation = COCOeval_faster(tables[0], tables[1], "bbox", print_function=_silent)
    evaluation.params.maxDets = [max_det]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: NDArray[np.float64] = np.asarray(evaluation.eval["precision"], dtype=np.float64)
    return precision[..., 0]


def _annotations(rows: pl.DataFrame, images: Mapping[str, int]) -> list[dict[str, Any]]:
    boxes = rows.select(pl.col(name).cast(pl.Float64) for name in BOX).to_numpy()
    sizes = boxes[:, 2:] - boxes[:, :2]
    columns = zip(
        rows.get_column("image"), rows.get_column("class_id"), rows.get_column("score"), boxes, sizes, strict=True
    )
    # Ids start at 1: faster-coco-eval takes a match with id 0 for no match.
    return [
        {
            "id": index,
            "image_id": images[image],
            "category_id": class_id,
            "bbox": [float(box[0]), float(box[1]), float(size[0]), float(size[1])],
            "area": float(size[0] * size[1]),
            "iscrowd": 0,
            "score": 0.0 if score is None else score,
        }
        for index, (image, class_id, score, box, size) in enumerate(columns, start=1)
    ]


def _mean(precision: NDArray[np.float64]) -> float | None:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else None


def _silent(*_: object) -> None:
    """Print nothing: the library reports each of its steps."""
