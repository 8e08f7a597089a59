"""Which images a conversion makes of which sources, what of it is there already, and what no longer belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from frostline.errors import InputError, did_you_mean
from frostline.imaging import manifest
from frostline.imaging.folders import PREVIEWS
from frostline.imaging.isd import IsdTable
from frostline.imaging.isdmaps import IsdMaps
from frostline.imaging.manifest import Manifest, Source


@dataclass(frozen=True)
class Failure:
    """An image that could not be converted, and why."""

    image: str
    reason: str


@dataclass(frozen=True)
class Task:
    """One image to convert; what a worker process is handed.

    Attributes:
        name: the image to write, relative to the target folder, with forward slashes.
        path: the source.
        output: the image to write.
        preview: the 8-bit PNG to write beside it; None for none.
        source: what the manifest will say of it.
        isd_map: the map of its directions; None where it has one direction.
    """

    name: str
    path: Path
    output: Path
    preview: Path | None
    source: Source
    isd_map: Path | None = None


def check_folders(src: Path, dst: Path) -> None:
    """Refuse folders that cannot be right: one in the other, missing, or the target full of other files."""
    if not src.is_dir():
        raise InputError(
            f"{src}: no such folder" if not src.exists() else f"{src}: is a file; expected a folder of images"
        )
    source, target = src.resolve(), dst.resolve()
    if target == source or source in target.parents:
        raise InputError(f"{dst}: lies in the source folder {src}; choose a folder outside it")
    if target in source.parents:
        raise InputError(f"{dst}: holds the source folder {src}; choose a folder of its own")
    if dst.exists() and not dst.is_dir():
        raise InputError(f"{dst}: is a file; expected a folder")
    if dst.is_dir() and any(dst.iterdir()) and manifest.load(dst) is None:
        raise InputError(f"{dst}: is not empty and has no {manifest.NAME}; choose a new folder")


def plan(
    src: Path, dst: Path, images: list[Path], isd: IsdTable | IsdMaps, ending: str, previews: bool
) -> tuple[list[Task], list[Failure]]:
    """Say what becomes of every image; of two that would be written to one place, the second fails.

    Args:
        src: the source folder.
        dst: the target folder.
        images: relative to the source folder.
        isd: directions, or the maps of them; an image without a map fails.
        ending: takes the place of an image's suffix, such as `.tiff` or `_chroma.tiff`.
        previews: whether each gets a preview.
    """
    tasks: dict[str, Task] = {}
    failed = []
    for image in images:
        output = image.with_name(image.stem + ending)
        name = output.as_posix()
        if name in tasks:
            failed.append(
                Failure(image.as_posix(), f"has the same name as {tasks[name].source.source} but for its suffix")
            )
            continue
        file = isd.file_of(image) if isinstance(isd, IsdMaps) else None
        if file is not None and not file.is_file():
            failed.append(Failure(image.as_posix(), f"{file}: no such ISD map"))
            continue
        try:
            source = _source(src, image, isd, file)
        except OSError as error:
            failed.append(Failure(image.as_posix(), f"cannot be read ({error.strerror})"))
            continue
        preview = preview_of(dst, name) if previews else None
        tasks[name] = Task(name, src / image, dst / output, preview, source, file)
    return list(tasks.values()), failed


def _source(src: Path, image: Path, isd: IsdTable | IsdMaps, file: Path | None) -> Source:
    state = (src / image).stat()
    if isinstance(isd, IsdTable) or file is None:
        direction = isd.of(image) if isinstance(isd, IsdTable) else None
        return Source(image.as_posix(), state.st_size, state.st_mtime_ns, direction)
    of_map = file.stat()
    known = {"file": isd.name_of(file), "size_bytes": of_map.st_size, "mtime_ns": of_map.st_mtime_ns}
    return Source(image.as_posix(), state.st_size, state.st_mtime_ns, None, isd_map=known)


def unchanged(before: Manifest, parameters: dict[str, Any], tasks: list[Task]) -> dict[str, Source]:
    """List the images that are there already, from the same source with the same parameters."""
    if before.parameters != parameters:
        return {}
    known = {task.name: before.images[task.name] for task in tasks if task.name in before.images}
    return {
        task.name: known[task.name]
        for task in tasks
        if task.name in known
        and task.source.same_input(known[task.name])
        and task.output.is_file()
        and (task.preview is None or task.preview.is_file())
    }


def remove(dst: Path, names: Iterable[str]) -> int:
    """Take away images that we wrote and that no longer belong, so that nothing trains on them."""
    removed = 0
    for name in names:
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            continue
        if (dst / name).is_file():
            (dst / name).unlink()
            preview_of(dst, name).unlink(missing_ok=True)
            removed += 1
    return removed


def preview_of(dst: Path, name: str) -> Path:
    """Give the place of an image's preview: without `images` in its path, so that no dataset takes it for an image."""
    parts = [part for part in PurePosixPath(name).parts if part != "images"]
    return dst.joinpath(PREVIEWS, *parts).with_suffix(".png")


def tasks_from(tasks: Sequence[Task], start: str, before: Manifest, parameters: dict[str, Any]) -> list[Task]:
    """Leave out what comes before an image.

    Args:
        tasks: in the order of their sources.
        start: a source's path, file name, or file name without suffix.
        before: what the target folder holds; it must have been made with the same parameters, or the images left out
            would be of another kind than the new ones.
        parameters: of this conversion.

    Raises:
        InputError: if no source has that name, or the parameters changed.
    """
    if before.images and before.parameters != parameters:
        raise InputError("--from goes on with an earlier conversion, but its parameters differ from those of this one")
    for index, task in enumerate(tasks):
        path = PurePosixPath(task.source.source)
        if start in (path.as_posix(), path.name, path.stem):
            return list(tasks[index:])
    known = [PurePosixPath(task.source.source).name for task in tasks]
    raise InputError(f"--from {start}: no such image{did_you_mean(start, known)}")
