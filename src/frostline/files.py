"""Files that are either whole or absent: written beside their place, then renamed onto it. And text of strangers, read
only as far as it can be meant: of a size, a depth and a width."""

from __future__ import annotations

import json
import math
import os
import stat
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
        beside.unlink(missing_ok=True)  # two names of one file stay both: rename(2)
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


MOST_YAML_BYTES = 4 * 2**20
MOST_YAML_DEPTH = 64
MOST_YAML_NODES = 500_000
"""With every alias counted as what it stands for: ten lines of aliases can stand for a billion nodes."""

MOST_TEXT_BYTES = 64 * 2**20
"""Of a label file, a table of a run, a list of images."""

MOST_INDEX_BYTES = 512 * 2**20
"""Of a record that has an entry an image: half a kilobyte each, for a million of them."""

MOST_LINE_BYTES = 2**20
"""A row of numbers is shorter, and a longer one would take fifty times its size once it is split."""


class TooLargeError(InputError):
    """A file that is longer, deeper or wider than anything it could be."""


def read_bounded(path: Path, most: int = MOST_TEXT_BYTES) -> bytes:
    """Read a file whole, up to a size; a device or a pipe, which has no end, is refused.

    Args:
        path: the file.
        most: bytes.

    Raises:
        TooLargeError: it has more.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise TooLargeError(f"{path}: not a file but a device or a pipe")
    with path.open("rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise TooLargeError(f"{path}: larger than {most // 2**20} MiB, which such a file is not meant to be")
    return data


def read_lines(path: Path, most: int = MOST_TEXT_BYTES, encoding: str = "utf-8-sig") -> list[str]:
    """Read a text file of rows, of a size and a width.

    Args:
        path: the file.
        most: bytes.
        encoding: of the text.

    Raises:
        TooLargeError: it has more, or a line with more than `MOST_LINE_BYTES`.
        OSError: it cannot be read.
        UnicodeDecodeError: it is no such text.
    """
    data = read_bounded(path, most)
    if len(data) > MOST_LINE_BYTES and max(map(len, data.split(b"\n"))) > MOST_LINE_BYTES:
        raise TooLargeError(f"{path}: a line of it is longer than {MOST_LINE_BYTES // 2**20} MiB")
    return data.decode(encoding).splitlines()


def read_json(path: Path, most: int = MOST_TEXT_BYTES, encoding: str = "utf-8") -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        most: bytes.
        encoding: of the text.

    Raises:
        TooLargeError: it has more, or is a device.
        OSError: it cannot be read.
        ValueError: it is no JSON, or nested deeper than Python follows.
    """
    try:
        return json.loads(read_bounded(path, most).decode(encoding))
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_yaml(text: str, *, unique: bool = True) -> Any:
    """Parse YAML with the safe loader, up to a size and a depth.

    Args:
        text: of the file.
        unique: refuse a key that stands twice; for records of other programs, read quickly, it may be False.

    Raises:
        yaml.YAMLError: it is not YAML, too large, too deep, or stands for too much.
    """
    if len(text) > MOST_YAML_BYTES:
        raise yaml.YAMLError(f"it is larger than {MOST_YAML_BYTES // 2**20} MiB")
    try:
        deep = "- - " in text or " " * MOST_YAML_DEPTH in text or text.count("[") + text.count("{") > MOST_YAML_DEPTH
        if deep or "&" in text or len(text) > 2**16:
            _check_nodes(text)
        return yaml.load(text, Loader=UserLoader if unique else _QUICK)
    except (RecursionError, ValueError, TypeError, AttributeError, OverflowError) as error:
        # A date of the 99th of a month, a number that is none, a key that is a list: PyYAML's constructors raise them.
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from error


_QUICK: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_nodes(text: str) -> None:
    """Count what a text stands for, without building it."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # anchor and size so far
    total = 0
    for event in yaml.parse(text, Loader=_QUICK):
        size, anchor = 1, getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((anchor, 1))
            if len(open_nodes) > MOST_YAML_DEPTH:
                raise yaml.YAMLError(f"it is nested more than {MOST_YAML_DEPTH} deep")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise yaml.YAMLError(f"the alias *{anchor} stands within what it stands for, or for nothing")
            size, anchor = sizes[anchor], None
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if anchor is not None:
            sizes[anchor] = size
        if open_nodes:
            outer, so_far = open_nodes[-1]
            open_nodes[-1] = outer, so_far + size
        total = max(total, size, open_nodes[-1][1] if open_nodes else 0)
        if total > MOST_YAML_NODES:
            raise yaml.YAMLError(f"it stands for more than {MOST_YAML_NODES:,} values")


def read_yaml(path: Path, what: str, *, unique: bool = True) -> Any:
    """Read a YAML file that a user wrote, with the safe loader.

    Args:
        path: the file.
        what: what it is, for messages: `the study file`.
        unique: see `parse_yaml`.

    Raises:
        InputError: it is missing, cannot be read, is not YAML, or larger or deeper than such a file is.
    """
    try:
        return parse_yaml(read_bounded(path, MOST_YAML_BYTES).decode("utf-8"), unique=unique)
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
