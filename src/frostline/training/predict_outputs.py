"""Predictions: as data, and as overlays, YOLO text and one JSON in a folder of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.datasets.draw import overlay, tone_map
from frostline.datasets.rows import Row
from frostline.errors import InputError
from frostline.files import holds_files, read_json, write_json, write_text
from frostline.imaging import write_png8
from frostline.training.predict_sources import Source
from frostline.training.threads import usable_cpus

RECORD = "predictions.json"
_VERSION = 1


@dataclass(frozen=True, eq=False)
class ImageDetections:
    """What was found in an image, the surest first.

    Attributes:
        file: the image.
        size: its width and height.
        boxes: (N, 4) float32: left, top, right, bottom in pixels of the image as it is stored.
        scores: (N,) float32: confidence, 0 to 1.
        classes: (N,) int: class ids.
    """

    file: Path
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def rows(self) -> list[Row]:
        """Return the boxes as rows of a label file: centre and size as shares of the image."""
        width, height = self.size
        return [
            Row(
                number,
                int(index),
                float(left + right) / 2 / width,
                float(top + bottom) / 2 / height,
                float(right - left) / width,
                float(bottom - top) / height,
            )
            for number, (index, (left, top, right, bottom)) in enumerate(zip(self.classes, self.boxes, strict=True), 1)
        ]

    def to_dict(self, names: dict[int, str]) -> dict[str, Any]:
        """Return it as JSON holds it."""
        found = zip(self.classes, self.scores, self.boxes, strict=True)
        return {
            "file": str(self.file),
            "width": self.size[0],
            "height": self.size[1],
            "detections": [
                {
                    "class": int(index),
                    "name": names[int(index)],
                    "score": round(float(score), 6),
                    "box": [round(float(side), 3) for side in box],
                }
                for index, score, box in found
            ],
        }


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model found in a set of images.

    Attributes:
        model: the checkpoint.
        names: class id to name.
        images: those that could be read, in their order.
        failed: the others, each with the reason.
        settings: image size, thresholds, device and so on.
    """

    model: Path
    names: dict[int, str]
    images: list[ImageDetections]
    failed: list[tuple[Path, str]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for every class that was found its detections, and the images that have any."""
        found: dict[str, tuple[int, int]] = {}
        for index, name in self.names.items():
            inside = [int((image.classes == index).sum()) for image in self.images]
            if sum(inside):
                found[name] = sum(inside), sum(map(bool, inside))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "version": _VERSION,
            "model": str(self.model),
            "settings": self.settings,
            "names": {str(index): name for index, name in self.names.items()},
            "images": [image.to_dict(self.names) for image in self.images],
            "failed": [{"file": str(path), "reason": why} for path, why in self.failed],
        }


class PredictionFolder:
    """A folder of predictions: `overlays/`, `labels/` and `predictions.json`, which also says what is ours in it.

    Args:
        out: the folder; new, empty, or of earlier predictions, whose files are taken away.
        sources: the images.
        overlays: write pictures.
        save_txt: write YOLO text.

    Raises:
        InputError: it holds something else, is what is read, or cannot be written.
    """

    def __init__(self, out: Path, sources: Sequence[Source], *, overlays: bool, save_txt: bool) -> None:
        self.out, self.overlays, self.save_txt = out, overlays, save_txt
        self._names = {source.path: source.name for source in sources}
        here = out.resolve()
        for source in sources:
            if source.path.resolve().is_relative_to(here):
                raise InputError(f"{out}: holds {source.path}, which is read; choose another folder with --out")
        before = _earlier(out)
        self._files = sorted(
            file
            for source in sources
            for file, wanted in zip(self._of(source.name), (overlays, save_txt), strict=True)
            if wanted
        )
        self._remove(before)
        self._save({})
        self._pool = ThreadPoolExecutor(usable_cpus())
        self._waiting: deque[Future[None]] = deque()

    def write(self, found: ImageDetections, image: NDArray[Any], names: dict[int, str]) -> None:
        """Write the files of an image, by a thread.

        Args:
            found: in the image.
            image: (H, W, 3) as it was read, in the order blue, green, red.
            names: class id to name.
        """
        self._waiting.append(self._pool.submit(self._write, found, image, names))
        while len(self._waiting) > 2 * usable_cpus():  # an image each: no more of them in memory
            self._finish(self._waiting.popleft())

    def close(self, predictions: Predictions) -> None:
        """Wait for the files, and write the predictions down."""
        while self._waiting:
            self._finish(self._waiting.popleft())
        self._save(predictions.to_dict())

    def stop(self) -> None:
        """Write nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _write(self, found: ImageDetections, image: NDArray[Any], names: dict[int, str]) -> None:
        picture, label = (self.out / file for file in self._of(self._names[found.file]))
        rows = found.rows()
        if self.save_txt:
            write_text(label, yolo_text(rows, found.scores))
        if self.overlays:
            labels = [f"{names[row.index]} {score:.2f}" for row, score in zip(rows, found.scores, strict=True)]
            mapped = tone_map(image[..., ::-1])
            write_png8(picture, overlay(mapped, rows[::-1], names, labels[::-1]))  # the surest on top

    def _finish(self, future: Future[None]) -> None:
        try:
            future.result()
        except OSError as error:
            raise self._unwritable(error) from error

    def _of(self, name: str) -> tuple[str, str]:
        return f"overlays/{name}.png", f"labels/{name}.txt"

    def _remove(self, files: Iterable[str]) -> None:
        for file in files:
            path = PurePosixPath(file)
            if path.parts[:1] in {("overlays",), ("labels",)} and ".." not in path.parts:
                (self.out / path).unlink(missing_ok=True)

    def _save(self, content: dict[str, Any]) -> None:
        try:
            write_json(
                self.out / RECORD, {"version": _VERSION, "finished": bool(content), **content, "files": self._files}
            )
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        reason = error.strerror or error
        return InputError(f"{self.out}: cannot be written ({reason}); make room or choose another folder with --out")


def yolo_text(rows: Sequence[Row], scores: NDArray[np.float32]) -> str:
    """Return boxes as YOLO's text: class, centre, width and height as shares of the image, confidence."""
    lines = (
        f"{row.index} {row.x:.6f} {row.y:.6f} {row.width:.6f} {row.height:.6f} {score:.6f}\n"
        for row, score in zip(rows, scores, strict=True)
    )
    return "".join(lines)


def _earlier(out: Path) -> list[str]:
    """Return the files that earlier predictions left in a folder.

    Raises:
        InputError: it is not such a folder, nor a new or empty one.
    """
    file = out / RECORD
    if not file.is_file():
        if out.exists() and not out.is_dir():
            raise InputError(f"{out}: is a file; choose a folder with --out")
        if holds_files(out):
            raise InputError(f"{out}: is not empty and has no {RECORD}; choose another folder with --out")
        return []
    try:
        content = read_json(file)
        if content["version"] != _VERSION:
            raise ValueError
        return [str(name) for name in content["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{file}: not a record of predictions; remove it or choose another folder with --out"
        ) from None
