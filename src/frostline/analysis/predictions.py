"""`predictions.parquet`: every validation detection and every ground-truth box of a run, one row each.

One table holds images, truths and predictions, so that every later metric can be computed again without the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from frostline.errors import InputError
from frostline.files import written_beside

KINDS = ("image", "truth", "prediction")
BOX = ("x1", "y1", "x2", "y2")
SCHEMA = pl.Schema(
    {
        "kind": pl.String(),
        "image": pl.String(),
        "class_id": pl.Int16(),
        "x1": pl.Float32(),
        "y1": pl.Float32(),
        "x2": pl.Float32(),
        "y2": pl.Float32(),
        "score": pl.Float32(),
    }
)
# Where a detection reached beyond the image, its box before it was cut off at the border; null elsewhere. Ultralytics
# matches these and COCO the others, so that only both give both APs. Older files lack the columns.
UNCLIPPED = ("free_x1", "free_y1", "free_x2", "free_y2")


@dataclass(frozen=True)
class PredictionSettings:
    """How the detections were made.

    Attributes:
        max_det: most detections an image that NMS let through, all classes together.
        conf: lowest confidence that NMS kept, in [0, 1].
        iou: IoU above which NMS drops the weaker of two boxes of one class, in [0, 1].
        names: class names by class id.
    """

    max_det: int
    conf: float
    iou: float
    names: Mapping[int, str]


@dataclass(frozen=True)
class Predictions:
    """A table with the columns of `SCHEMA` (newer files: `UNCLIPPED` too), and the settings that it was made with."""

    frame: pl.DataFrame
    settings: PredictionSettings


class DetectionTable:
    """Collects images one by one while a model validates, and gives them as one frame with the columns of `SCHEMA`."""

    def __init__(self) -> None:
        self._images: set[str] = set()
        self._chunks: list[pl.DataFrame] = []

    def add(
        self,
        image: str,
        size: tuple[float, float],
        *,
        truth_classes: ArrayLike,
        truth_boxes: ArrayLike,
        classes: ArrayLike,
        boxes: ArrayLike,
        scores: ArrayLike,
        unclipped_boxes: ArrayLike | None = None,
    ) -> None:
        """Add one image with its ground truth and what NMS returned for it; either may be empty.

        Args:
            image: file name; it identifies the image, so each may be added once.
            size: (width, height) of the original image, pixels.
            truth_classes: (n,) class ids.
            truth_boxes: (n, 4) x1, y1, x2, y2 in pixels of the original image.
            classes: (m,) class ids of the detections.
            boxes: (m, 4) like `truth_boxes`.
            scores: (m,) confidences in [0, 1].
            unclipped_boxes: (m, 4) like `boxes`, before they were cut off at the border of the image; give them for all
                images or for none.

        Raises:
            InputError: the image was added before.
            ValueError: arrays whose lengths do not agree.
        """
        if image in self._images:
            raise InputError(f"two validation images are called '{image}': give each its own file name")
        self._images.add(image)
        self._chunks += [
            _rows("image", image, [None], [[0.0, 0.0, *size]], None),
            _rows("truth", image, truth_classes, truth_boxes, None),
            _rows("prediction", image, classes, boxes, scores, unclipped_boxes),
        ]

    @property
    def frame(self) -> pl.DataFrame:
        """Everything added so far, in that order."""
        return pl.concat(self._chunks, how="diagonal") if self._chunks else pl.DataFrame(schema=SCHEMA)


def write_predictions(path: Path, frame: pl.DataFrame, settings: PredictionSettings) -> None:
    """Write a table of detections whole or not at all.

    Args:
        path: the file, `predictions.parquet` in a run folder.
        frame: the columns of `SCHEMA` in any order; integers and floats of other widths are converted.
        settings: kept in the file's key-value metadata, each as JSON.

    Raises:
        InputError: a column is missing, a kind unknown, a truth without class or a prediction without score.
    """
    table = _checked(frame, path)
    metadata = {
        "max_det": json.dumps(settings.max_det),
        "conf": json.dumps(settings.conf),
        "iou": json.dumps(settings.iou),
        "names": json.dumps({str(key): name for key, name in settings.names.items()}, ensure_ascii=False),
    }
    with written_beside(path) as beside:
        table.write_parquet(beside, compression="zstd", metadata=metadata)


def read_predictions(path: Path) -> Predictions:
    """Read a `predictions.parquet`.

    Args:
        path: the file.

    Raises:
        InputError: the file is missing, cut off, no Parquet, or has other columns or no settings.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; a run writes it when it has finished")
    try:
        frame = pl.read_parquet(path)
        metadata = pl.read_parquet_metadata(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a whole Parquet file ({reason}); evaluate the run again") from error
    return Predictions(_checked(frame, path), _settings(metadata, path))


def _settings(metadata: Mapping[str, str], path: Path) -> PredictionSettings:
    try:
        read: dict[str, Any] = {key: json.loads(metadata[key]) for key in ("max_det", "conf", "iou", "names")}
        names = {int(key): str(name) for key, name in read["names"].items()}
        return PredictionSettings(int(read["max_det"]), float(read["conf"]), float(read["iou"]), names)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: its metadata lacks max_det, conf, iou or names; evaluate the run again") from error


def _rows(
    kind: str, image: str, classes: Any, boxes: ArrayLike, scores: ArrayLike | None, free: ArrayLike | None = None
) -> pl.DataFrame:
    ids: list[int | None] = list(np.asarray(classes, dtype=object).ravel())
    corners: NDArray[np.float32] = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    values: list[Any] = [None] * len(ids) if scores is None else np.asarray(scores, dtype=np.float32).ravel().tolist()
    if not len(ids) == len(corners) == len(values):
        raise ValueError(f"{image}: {len(ids)} classes, {len(corners)} boxes and {len(values)} scores for {kind} rows")
    frame = pl.DataFrame(
        {
            "kind": [kind] * len(ids),
            "image": [image] * len(ids),
            "class_id": [None if item is None else int(item) for item in ids],
            **{name: corners[:, index] for index, name in enumerate(BOX)},
            "score": values,
        },
        schema=SCHEMA,
    )
    if free is None:
        return frame
    whole: NDArray[np.float32] = np.asarray(free, dtype=np.float32).reshape(-1, 4)
    if len(whole) != len(ids):
        raise ValueError(f"{image}: {len(ids)} classes and {len(whole)} unclipped boxes")
    cut = pl.Series((whole != corners).any(axis=1))
    return frame.with_columns(
        pl.when(cut).then(pl.Series(whole[:, index])).alias(name) for index, name in enumerate(UNCLIPPED)
    )


def _checked(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    missing = [name for name in SCHEMA if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected {', '.join(SCHEMA)}")
    try:
        # All four or none: with some of them the others would be guesses.
        whole = UNCLIPPED if set(UNCLIPPED) <= set(frame.columns) else ()
        kinds = {**SCHEMA, **dict.fromkeys(whole, pl.Float32())}
        table = frame.select(pl.col(name).cast(kind) for name, kind in kinds.items())
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: a column has values of the wrong type ({str(error).splitlines()[0]})") from error
    faults = {
        "a kind that is none of " + ", ".join(KINDS): ~pl.col("kind").is_in(KINDS) | pl.col("kind").is_null(),
        "a row without an image name": pl.col("image").is_null(),
        "a box that is not four finite numbers": ~pl.all_horizontal(
            pl.col(name).is_finite().fill_null(False) for name in BOX
        ),
        "a truth or prediction without a class": (pl.col("kind") != "image") & pl.col("class_id").is_null(),
        "a prediction without a score": (pl.col("kind") == "prediction")
        & ~pl.col("score").is_finite().fill_null(False),
    }
    counts = table.select(fault.sum().alias(what) for what, fault in faults.items()).row(0, named=True)
    for what, count in counts.items():
        if count:
            raise InputError(f"{path}: {count} rows with {what}")
    return table
