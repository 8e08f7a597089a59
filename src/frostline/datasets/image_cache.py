"""Decoded, resized images in one memory-mapped file a split, in their own type: an image is decoded once, not once an
epoch, and what the file holds in memory is the kernel's, shared by every run and process that reads it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from ultralytics.utils import LOCAL_RANK, LOGGER, NUM_THREADS, TQDM

from frostline.files import MOST_INDEX_BYTES, leftovers, locked, read_json, write_json, written_beside

LAYOUT = "frostline decoded images 1"
"""In every index: another layout of the files is another name."""

_ALIGNED = 64
_SAMPLE = 5
_MARGIN = 1.1

Size = tuple[int, int]
Decode = Callable[[int], tuple[NDArray[Any], Size]]


class DecodedImages:
    """The images of one split, in the order of its dataset, mapped read-only.

    Args:
        path: the file of pixels; its index stands beside it.
        index: what the index holds.
        files: of the images, in the order that positions count in.
    """

    def __init__(self, path: Path, index: dict[str, Any], files: Sequence[str]) -> None:
        self._path = path
        self._type = np.dtype(index["type"])
        where = {entry[0]: entry[1:] for entry in index["images"]}
        self._places = np.array([where[file] for file in files], np.int64)
        self._map = _mapped(path)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._places)

    def __getitem__(self, position: int) -> tuple[NDArray[Any], Size]:
        """Return an image (H, W, C), which cannot be written to, and its (height, width) in its file."""
        offset, height, width, channels, *original = (int(number) for number in self._places[position])
        size = height * width * channels * self._type.itemsize
        image = self._map[offset : offset + size].view(self._type).reshape(height, width, channels)
        return image, (original[0], original[1])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapping out: another process maps the file itself."""
        return {key: value for key, value in vars(self).items() if key != "_map"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the file again."""
        vars(self).update(state)
        self._map = _mapped(self._path)


class ImageCache:
    """A folder of decoded images. One object serves all runs of a process; any number of processes share the folder.

    A split's file is named after all that its pixels depend on: path, size and time of every image, and what the caller
    names. An image that changes is therefore another file, and files of images that are no longer there are removed
    when the next one is made.

    Args:
        folder: where to; made when it is needed. It can be deleted when nothing trains from it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._indices: dict[str, dict[str, Any]] = {}

    def images(
        self, files: Sequence[str], sources: Iterable[Path], key: str, decode: Decode, prefix: str = ""
    ) -> DecodedImages | None:
        """Return a split's decoded images, from the folder or decoded into it.

        Args:
            files: one name an image.
            sources: the files that the pixels come from.
            key: whatever else they depend on, such as the size that they are resized to and versions of libraries.
            decode: from a position in `files` to the image (H, W, C) and its (height, width) in the file; all of one
                type. It is called from threads.
            prefix: of messages.

        Returns:
            The images, or None where there is no room for them or the folder cannot be written, with a warning.
        """
        states = sorted(_state(source) for source in sources)
        name = hashlib.sha256(json.dumps([LAYOUT, key, sorted(files), states]).encode()).hexdigest()[:24]
        pixels = self.folder / f"{name}.pixels"
        index = self._indices.get(name) or _finished(pixels)
        if index is None:
            try:
                with locked(self.folder / ".lock"):
                    index = _finished(pixels)  # another process may have made it while this one waited
                    if index is None:
                        self._tidy()
                        index = _decoded(pixels, files, states, decode, prefix)
            except OSError as error:
                LOGGER.warning(f"{prefix}images are decoded in every epoch: {self.folder}: {error.strerror or error}")
                return None
            if index is None:
                return None
        self._indices[name] = index
        return DecodedImages(pixels, index, files)

    def _tidy(self) -> None:
        """Remove what killed processes left, and files of images that have changed or gone."""
        stale = leftovers(self.folder)
        stale += [path for path in self.folder.glob("*.pixels") if not path.with_suffix(".json").exists()]
        for path in self.folder.glob("*.json"):
            index = _read(path)
            if index is not None and any(_state(Path(state[0])) != state for state in index["sources"]):
                stale += [path, path.with_suffix(".pixels")]
        for path in stale:
            with suppress(OSError):  # in use, where the system minds
                path.unlink()

    def __getstate__(self) -> dict[str, Any]:
        """Send the folder alone to other processes."""
        return {"folder": self.folder, "_indices": {}}


def _mapped(path: Path) -> NDArray[np.uint8]:
    return np.memmap(path, np.uint8, mode="r").view(np.ndarray)


def _state(path: Path) -> list[Any]:
    """Return what tells a file from another one, or from itself before a change."""
    try:
        state = path.stat()
    except OSError:
        return [str(path.absolute()), -1, -1]
    return [str(path.absolute()), state.st_size, state.st_mtime_ns]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        index = read_json(path, MOST_INDEX_BYTES)
    except (OSError, ValueError):
        return None
    return index if isinstance(index, dict) and index.get("layout") == LAYOUT else None


def _finished(pixels: Path) -> dict[str, Any] | None:
    """Return the index of a file of pixels that is whole; the index is written last."""
    index = _read(pixels.with_suffix(".json"))
    try:
        return index if index is not None and pixels.stat().st_size == index["bytes"] else None
    except OSError:
        return None


def _decoded(
    pixels: Path, files: Sequence[str], states: list[list[Any]], decode: Decode, prefix: str
) -> dict[str, Any] | None:
    """Decode all images into a file; the index is written when the pixels are safe on the disk."""
    if not _has_room(pixels.parent, len(files), decode, prefix):
        return None
    index: dict[str, Any] = {"layout": LAYOUT, "type": "", "bytes": 0, "images": [], "sources": states}
    with written_beside(pixels) as beside, beside.open("wb") as stream:
        for file, (image, original) in zip(files, _each(len(files), decode, prefix), strict=True):
            index["type"] = index["type"] or str(image.dtype)
            if str(image.dtype) != index["type"]:
                raise ValueError(f"{file}: holds {image.dtype} values, not {index['type']} like the rest")
            index["images"].append([file, stream.tell(), *image.shape, *original])
            _write(stream, image)
        index["bytes"] = stream.tell()
        stream.flush()
        os.fsync(stream.fileno())
    write_json(pixels.with_suffix(".json"), index)
    return index


def _write(stream: BinaryIO, image: NDArray[Any]) -> None:
    stream.write(np.ascontiguousarray(image).data)
    stream.write(bytes(-stream.tell() % _ALIGNED))


def _each(count: int, decode: Decode, prefix: str) -> Iterator[tuple[NDArray[Any], Size]]:
    """Decode in threads, a few images ahead of what is written, so that memory stays small."""
    step = 4 * NUM_THREADS
    with ThreadPool(NUM_THREADS) as pool, TQDM(total=count, desc=f"{prefix}decoding", disable=LOCAL_RANK > 0) as bar:
        for first in range(0, count, step):
            for decoded in pool.map(decode, range(first, min(first + step, count))):
                yield decoded
                bar.update(1)


def _has_room(folder: Path, count: int, decode: Decode, prefix: str) -> bool:
    """Say whether the disk has room, estimated from some of the images."""
    chosen = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(int))
    needed = sum(decode(int(position))[0].nbytes for position in chosen) / len(chosen) * count * _MARGIN
    free = shutil.disk_usage(folder).free
    if needed < free:
        return True
    LOGGER.warning(
        f"{prefix}images are decoded in every epoch: {needed / 2**30:.1f} GiB needed to keep them, "
        f"{free / 2**30:.1f} GiB free in {folder}"
    )
    return False
