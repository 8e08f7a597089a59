"""Files that are either whole or absent: written beside their place, then renamed onto it. And YAML, read safely."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from frostline.errors import InputError

_MARK = ".part-"
OBJECT_TABLE = "kitti_objects.csv"
"""Beside a data.yaml: the occlusion and truncation of its boxes, which YOLO's label files cannot hold."""


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it onto `path` when the block ends without an error.

    Args:
        path: the final place. Its folder is made if missing. The temporary name keeps the suffix, for libraries that
            choose a format by it.

    Yields:
        The path to write to. It is removed when the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}{_MARK}", suffix=path.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for another process that holds it; a process that dies lets go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        except (ImportError, OSError):  # Windows, or a file system without locks: two processes do the work twice
            pass
        yield


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files that a killed process left in a folder, never anything a user put there.

    Args:
        folder: looked into, not below.
    """
    return [p for p in folder.glob(f".*{_MARK}*") if p.is_file()] if folder.is_dir() else []


def holds_files(folder: Path) -> bool:
    """Tell whether a folder holds anything but the temporary files of a killed process."""
    return folder.is_dir() and set(folder.iterdir()) != set(leftovers(folder))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes so that a reader sees the old file or the new one, never a part."""
    with written_beside(path) as beside, beside.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a part."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON with a last newline; NaN and infinities become null, as JSON has neither."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


class UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML's safe loader, without its habit of taking the last of two equal keys and dropping the first.

    YAML 1.2 (section 3.2.1.1) asks that the keys of a mapping be unique.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; a key that stands twice is an error at its line."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' stands twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class UserLoader(UniqueKeyLoader):
    """The same for what users write of Frostline's own: a time such as 12:00:00 stays text."""


def _no_sixties(loader: UserLoader, node: yaml.ScalarNode) -> Any:
    """Take 12:00:00 for text. YAML 1.1 takes it for 43200, a number to the base of 60, which YAML 1.2 has dropped."""
    return node.value if ":" in node.value else loader.construct_yaml_int(node)


UserLoader.add_constructor("tag:yaml.org,2002:int", _no_sixties)


def read_yaml(path: Path, what: str) -> Any:
    """Read a YAML file that a user wrote, with the safe loader.

    Args:
        path: the file.
        what: what it is, for messages: `the study file`.

    Raises:
        InputError: it is missing, cannot be read, or is not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=UserLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text; save the file as UTF-8"
        raise InputError(f"{path}: cannot read {what}: {reason}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def finite(value: Any) -> Any:
    """Return plain data with NaN and infinities, which JSON has not, replaced by None, and every key as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
