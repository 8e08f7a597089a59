"""Many files through one function: parallel, resumable by a record of sources, and no file ends the batch."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from frostline.errors import InputError
from frostline.files import MOST_INDEX_BYTES, holds_files, read_json, write_json
from frostline.imaging.folders import remove_leftovers
from frostline.imaging.parallel import each

VERSION = 1
_SAVE_EVERY_SECONDS = 5.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNWRITABLE = _FULL | {errno.EROFS}


@dataclass(frozen=True)
class Job:
    """One file to work on; what a worker process is handed.

    Attributes:
        path: the source.
        output: the main file to write.
        name: `output` relative to the folder of the record, with forward slashes.
        source: the source as the record names it, with forward slashes.
    """

    path: Path
    output: Path
    name: str
    source: str


@dataclass(frozen=True)
class BatchSummary:
    """What a batch did.

    Attributes:
        done: files written now.
        skipped: files that were there already, from the same source with the same parameters.
        failed: sources that failed, each with its reason, sorted.
        entries: what the record holds of every finished file, by name.
    """

    done: int = 0
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)


def run_batch(
    dst: Path,
    record: str,
    parameters: dict[str, Any],
    jobs: Sequence[Job],
    function: Callable[[Job], dict[str, Any]],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BatchSummary:
    """Work on every job that is not done, and keep a record that lets a later call resume.

    Args:
        dst: the folder of the outputs.
        record: the record's file name in it.
        parameters: what all jobs share, as JSON holds it; when it changes, everything is done again.
        jobs: with distinct names. Files of the record that no job makes any more are removed.
        function: at the top level of a module; writes the output, whole or not at all, and returns what the record
            shall say of it.
        workers: processes; None for one a core.
        progress: called with the jobs done and the jobs in all.

    Returns:
        Counts, failures and the record's entries.

    Raises:
        InputError: if `dst` holds other files and no record, or cannot be written.
    """
    known, same = _load(dst, record, parameters)
    before = known if same else {}
    states = {job.name: _state(job) for job in jobs}
    entries = {
        job.name: before[job.name]
        for job in jobs
        if job.output.is_file() and states[job.name] and states[job.name] == before.get(job.name, {}).get("file")
    }
    waiting = [job for job in jobs if job.name not in entries]
    skipped = len(entries)
    _remove_gone(dst, known.keys() - {job.name for job in jobs})
    save = _saver(dst, record, parameters, entries)
    save()
    remove_leftovers(job.output.parent for job in waiting)
    failed: list[tuple[str, str]] = []
    saved = time.monotonic()
    try:
        for count, (job, result) in enumerate(each(function, waiting, workers), start=1):
            if isinstance(result, Exception):
                stop_if_unwritable(dst, result)
                failed.append((job.source, reason(job.path, result)))
                job.output.unlink(missing_ok=True)  # of an older source, or older parameters
            else:
                entries[job.name] = {"source": job.source, "file": states[job.name], **result}
            if time.monotonic() - saved > _SAVE_EVERY_SECONDS:
                save()
                saved = time.monotonic()
            if progress is not None:
                progress(skipped + count, len(jobs))
    finally:
        save()
    return BatchSummary(len(entries) - skipped, skipped, sorted(failed), entries)


def reason(path: Path, error: Exception) -> str:
    """Say in one line, without the path that is named beside it, why a file failed."""
    if isinstance(error, InputError):
        return str(error).removeprefix(f"{path}: ")
    if isinstance(error, OSError):
        return f"cannot be read or written ({error.strerror or error})"
    return " ".join(str(error).split()) or type(error).__name__


def stop_if_unwritable(dst: Path, error: Exception) -> None:
    """End a batch when the fault is the target's and not the file's: every further file would fail in the same way.

    Raises:
        InputError: there is no room, or the file system takes no writes.
    """
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        raise unwritable(dst, error) from None


def unwritable(dst: Path, error: OSError) -> InputError:
    """Say in one line that a folder cannot be written, and what to do."""
    advice = "; make room and run the same command again" if error.errno in _FULL else ""
    return InputError(f"{dst}: cannot be written ({error.strerror or error}){advice}")


def _remove_gone(dst: Path, names: Iterable[str]) -> None:
    """Take away files that we wrote and whose source is gone, so that nothing trains on them."""
    for name in names:
        path = PurePosixPath(name)
        if ".." not in path.parts and not path.is_absolute():
            (dst / name).unlink(missing_ok=True)


def _load(dst: Path, record: str, parameters: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], bool]:
    """Return the entries of the record, and whether they were made with the same parameters."""
    file = dst / record
    if not file.is_file():
        if dst.exists() and not dst.is_dir():
            raise InputError(f"{dst}: is a file; expected a folder")
        if holds_files(dst):
            raise InputError(f"{dst}: is not empty and has no {record}; choose a new folder")
        return {}, True
    try:
        content = read_json(file, MOST_INDEX_BYTES)
        images, known = dict(content["images"]), (content["version"], content["parameters"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{file}: not a record of Frostline; remove it or choose a new folder") from None
    return images, known == (VERSION, json.loads(json.dumps(parameters)))


def _saver(
    dst: Path, record: str, parameters: dict[str, Any], entries: dict[str, dict[str, Any]]
) -> Callable[[], None]:
    def save() -> None:
        content = {"version": VERSION, "parameters": parameters, "images": dict(sorted(entries.items()))}
        try:
            write_json(dst / record, content)
        except OSError as error:
            raise unwritable(dst, error) from None

    return save


def _state(job: Job) -> list[int]:
    try:
        state = job.path.stat()
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]
