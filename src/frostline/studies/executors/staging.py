"""A dataset copied to the disk of the node that trains on it: once a node, whole or not at all.

The copy keeps every path below one folder, so that images, labels and the order and names of both are what they are
in the original. A run that uses it is recorded with the original.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import yaml

from frostline.datasets import Dataset, label_path, load_dataset
from frostline.errors import InputError
from frostline.files import locked, read_yaml, write_json, write_text

NAME = "frostline-data"
DONE = "complete.json"
COPIERS = 8
"""Files that are copied at a time: a file server takes long for each, and many at once."""

_PLACES = frozenset(("path", "train", "val", "validation", "test", "download"))
Say = Callable[[str], None]


def stage(data: str, place: bool | str, say: Say) -> str:
    """Copy a dataset to this node's disk, unless it is there, and return where its data.yaml is then.

    Where there is no room, that is said and the original is returned: the run is the same, and slower.

    Args:
        data: a data.yaml.
        place: a folder of the node, in which environment variables are filled in; True for `$SLURM_TMPDIR`.
        say: takes lines for the run's log.

    Raises:
        InputError: there is no such folder, it is another user's, or what `load_dataset` finds.
    """
    root = node_folder(place)
    dataset = load_dataset(data)
    files = [file.absolute() for file in files_of(dataset)]
    sizes = {file: file.stat() for file in files}
    text = dataset.yaml.read_bytes()
    told = [[str(file), state.st_size, state.st_mtime_ns] for file, state in sizes.items()]
    key = hashlib.sha256(text + repr(told).encode()).hexdigest()[:20]
    folder = root / f"{NAME}-{key}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _check_own(folder)
        with locked(folder / ".lock"):  # runs that share a node: one copies, the others wait and find it done
            missing = [file for file in files if not _is_there(_copy_of(file, folder), sizes[file])]
            if missing:
                (folder / DONE).unlink(missing_ok=True)
                _check_room(root, sum(sizes[file].st_size for file in missing))
                say(f"copying {len(missing)} files of {data} to {folder}")
                _copy(missing, folder)
            if not all(
                (folder / name).is_file() for name in (DONE, "data.yaml", *map("{}.txt".format, dataset.splits))
            ):
                _finish(dataset, files, folder, sizes)
    except OSError as error:
        say(f"warning: {data} is used where it is: {folder}: {error.strerror or error}")
        return data
    say(f"images and labels of {data} are read from {folder}")
    return str(folder / "data.yaml")


def node_folder(place: bool | str) -> Path:
    """Return a folder of this node, by its name with environment variables in it; True is `$SLURM_TMPDIR`.

    Raises:
        InputError: a variable is not set, or there is no such folder.
    """
    named = "$SLURM_TMPDIR" if place is True else str(place)
    folder = Path(os.path.expandvars(named))
    if "$" in str(folder):
        raise InputError(f"stage_data: {folder} is not set in this job; name a folder of the node, such as /scratch")
    if not folder.is_dir():
        raise InputError(f"stage_data: {folder}: no such folder on this node")
    return folder


def files_of(dataset: Dataset) -> Iterator[Path]:
    """Give every file of a dataset that training reads: images, labels, and the `.npy` that stand for images."""
    seen: set[Path] = set()
    for image in (image for images in dataset.splits.values() for image in images):
        if image not in seen:
            seen.add(image)
            yield image
            yield from (file for file in (label_path(image), image.with_suffix(".npy")) if file.is_file())


def _copy_of(file: Path, folder: Path) -> Path:
    return folder / "files" / file.relative_to(file.anchor)


def _is_there(copy: Path, original: os.stat_result) -> bool:
    try:
        state = copy.stat()
    except OSError:
        return False
    # not every file system keeps times as exactly as another; the copy's folder is named after the exact ones
    return state.st_size == original.st_size and abs(state.st_mtime - original.st_mtime) < 2


def _check_own(folder: Path) -> None:
    """Refuse what another user put there: on a node's disk anybody may make folders."""
    state = folder.lstat()
    if folder.is_symlink() or (hasattr(os, "getuid") and state.st_uid != os.getuid()):
        raise InputError(f"stage_data: {folder} is another user's; name a folder of your own")


def _check_room(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if free < needed + needed // 50:
        raise OSError(f"{needed / 2**20:,.0f} MiB are needed and {free / 2**20:,.0f} MiB are free")


def _copy(files: Iterable[Path], folder: Path) -> None:
    def copy(file: Path) -> None:
        target = _copy_of(file, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.part")
        shutil.copyfile(file, beside)
        shutil.copystat(file, beside)
        beside.replace(target)

    with ThreadPool(COPIERS) as pool:
        for _ in pool.imap_unordered(copy, files):
            pass


def _finish(dataset: Dataset, files: list[Path], folder: Path, sizes: dict[Path, os.stat_result]) -> None:
    """Check the copy against the original, then write its data.yaml, and the mark that it is whole."""
    for file in files:
        if not _is_there(_copy_of(file, folder), sizes[file]):
            raise OSError(f"{file} changed while it was copied")
    for image in (one.absolute() for one in dataset.train + dataset.val + dataset.test):
        if label_path(_copy_of(image, folder)) != _copy_of(label_path(image), folder):
            raise InputError(
                f"stage_data: {folder}: Ultralytics looks for the labels of images in a folder `images` elsewhere; "
                "name a folder without `images` in its path"
            )
    content: dict[str, Any] = {
        key: value for key, value in read_yaml(dataset.yaml, "the data.yaml").items() if key not in _PLACES
    }
    for split, images in dataset.splits.items():
        lines = "".join(f"{_copy_of(image.absolute(), folder)}\n" for image in images)
        write_text(folder / f"{split}.txt", lines)
        content[split] = f"{split}.txt"
    write_text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    write_json(folder / DONE, {"data": str(dataset.yaml), "files": len(files)})
