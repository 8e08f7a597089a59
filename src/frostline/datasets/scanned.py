"""Labels read once and kept beside the dataset, in a form that cannot run anything.

Ultralytics keeps them in `labels.cache`, a pickle, and reads whatever lies there under that name. Here that file is
never read; what a scan finds is kept as a line of JSON and plain numbers in a file of our own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.data.dataset import DATASET_CACHE_VERSION, YOLODataset
from ultralytics.utils import LOGGER

from frostline.files import written_beside

SUFFIX = ".frostline-labels"
LAYOUT = "frostline labels 1"

_LINE_BYTES = 1 << 30


class ScannedDataset(YOLODataset):
    """Ultralytics' detection dataset, which takes no stranger's word for what the labels are.

    Args:
        args: those of `YOLODataset`.
        kwargs: the same.
    """

    def _load_or_scan_cache(self, cache_path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        """Take what an earlier scan of the same files found, or scan them; `labels.cache` is not opened."""
        kept = cache_path.with_suffix(SUFFIX)
        key = self._state(cache_hash)
        found = load_labels(kept, key, self.im_files)
        if found is not None:
            return {**found, "hash": cache_hash, "version": DATASET_CACHE_VERSION}, True
        scanned: dict[str, Any] = self.cache_labels(cache_path)
        save_labels(kept, key, scanned)
        return scanned, False

    def _state(self, cache_hash: str) -> str:
        """Hash what the labels depend on: more than Ultralytics looks at, which is paths and the sum of sizes."""
        digest = hashlib.sha256(f"{LAYOUT} {DATASET_CACHE_VERSION} {cache_hash}".encode())
        for path in (*self.im_files, *self.label_files):
            try:
                state = Path(path).stat()
                digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            except OSError:
                digest.update(f"{path} missing\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def save_labels(path: Path, key: str, scanned: dict[str, Any]) -> None:
    """Keep what a scan found; where it cannot be written, the next run scans again.

    Args:
        path: the file.
        key: of the state of the files.
        scanned: as `YOLODataset.cache_labels` returns it.
    """
    labels = scanned["labels"]
    if not labels or any(label["keypoints"] is not None for label in labels):
        return
    head = {
        "layout": LAYOUT,
        "key": key,
        "results": list(scanned["results"]),
        "msgs": scanned["msgs"],
        "files": [str(label["im_file"]) for label in labels],
        "shapes": [[int(side) for side in label["shape"]] for label in labels],
        "boxes": [len(label["cls"]) for label in labels],
        "points": [[len(segment) for segment in label["segments"]] for label in labels],
    }
    try:
        with written_beside(path) as beside, beside.open("wb") as stream:
            stream.write(json.dumps(head).encode() + b"\n")
            for label in labels:
                stream.write(np.concatenate((label["cls"], label["bboxes"]), 1).astype("<f4").tobytes())
                for segment in label["segments"]:
                    stream.write(np.asarray(segment, "<f4").tobytes())
    except OSError as error:
        LOGGER.warning(f"{path} cannot be written ({error.strerror}): the labels are read again in every run")


def load_labels(path: Path, key: str, files: Iterable[str]) -> dict[str, Any] | None:
    """Read what `save_labels` wrote; None where there is nothing of this state, or nothing that makes sense.

    Args:
        path: the file.
        key: of the state of the files as they are now.
        files: images that the dataset has.
    """
    try:
        with path.open("rb") as stream:
            head = json.loads(stream.readline(_LINE_BYTES))
            if head["layout"] != LAYOUT or head["key"] != key or not set(head["files"]) <= set(files):
                return None
            data = np.frombuffer(stream.read(), "<f4")
        labels, at = [], 0
        for file, shape, count, points in zip(
            head["files"], head["shapes"], head["boxes"], head["points"], strict=True
        ):
            rows, at = _take(data, at, int(count), 5)
            segments = []
            for number in points:
                segment, at = _take(data, at, int(number), 2)
                segments.append(segment)
            height, width = (int(side) for side in shape)
            labels.append({
                "im_file": file, "shape": (height, width), "cls": rows[:, 0:1], "bboxes": rows[:, 1:],
                "segments": segments, "keypoints": None, "normalized": True, "bbox_format": "xywh",
            })  # fmt: skip
        results = tuple(int(number) for number in head["results"])
        if at != len(data) or len(results) != 5 or not labels:
            return None
        return {"labels": labels, "results": results, "msgs": [str(message) for message in head["msgs"]]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, MemoryError):
        return None


def _take(data: Any, at: int, rows: int, columns: int) -> tuple[Any, int]:
    end = at + rows * columns
    if rows < 0 or end > len(data):
        raise ValueError("cut off")
    return data[at:end].reshape(rows, columns).copy(), end
