"""A detection dataset as its data.yaml names it: class names and the images of every split.

Paths resolve exactly as Ultralytics' `check_det_dataset` and `get_img_files` resolve them, so that what is checked here
is what is trained on. Two things differ on purpose: nothing is ever downloaded, and a `download:` entry, which
Ultralytics passes to `exec`, is never looked at.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from frostline.datasets.outside import ALLOW_ADVICE, leads_outside, outside_allowed
from frostline.errors import InputError
from frostline.files import MOST_YAML_BYTES, parse_yaml, read_bounded, read_lines

IMAGE_SUFFIXES = frozenset(
    (".avif", ".bmp", ".dng", ".heic", ".heif", ".jp2", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp")
)
MOST_CLASSES = 100_000
"""Classes that a dataset may have; more is a slip of the pen, and would only use up the memory."""

_UNPRINTABLE = re.compile(r"[^\x09\x0A\x0D\x20-\x7E\x85\xA0-\uD7FF\uE000-\uFFFD\U00010000-\U0010ffff]+")
_ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".ndjson"))


@dataclass(frozen=True)
class Dataset:
    """A dataset with every path resolved.

    Attributes:
        yaml: the data.yaml it was read from.
        names: class id to class name, ids 0 to n - 1.
        train: images to train on, sorted as Ultralytics sorts them.
        val: images to validate on.
        test: images of the optional test split; empty where there is none.
        pixels: the entry `pixels:`, as it stands there; None where there is none. See `pixel_format`.
    """

    yaml: Path
    names: dict[int, str]
    train: list[Path]
    val: list[Path]
    test: list[Path] = field(default_factory=list)
    pixels: Any = None

    @property
    def splits(self) -> dict[str, list[Path]]:
        """The images of `train`, `val` and, where there is one, `test`."""
        splits = {"train": self.train, "val": self.val}
        return {**splits, "test": self.test} if self.test else splits


def label_path(image: str | Path) -> Path:
    """Return where Ultralytics looks for the labels of an image.

    The last `/images/` becomes `/labels/` and the suffix `.txt`; an image outside any `images` folder has its labels
    beside it.
    """
    images, labels = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"
    return Path(labels.join(os.fspath(image).rsplit(images, 1)).rsplit(".", 1)[0] + ".txt")


def load_dataset(data: str | Path) -> Dataset:
    """Read a data.yaml and list the images of its splits, as Ultralytics would.

    A relative `path:` is taken from the current folder if it exists there and otherwise from Ultralytics' datasets
    folder; without a `path:` everything is relative to the data.yaml. A split is a folder (searched with its
    sub-folders), a text file with one image a line (`./` is the text file's folder), or a list of those.

    Args:
        data: a data.yaml, a folder that holds one, or the name of one that Ultralytics ships (with its images at hand).

    Returns:
        The dataset, every split with at least one image. Labels are not read: see `check_labels`.

    Raises:
        InputError: the file is missing, is not a YAML mapping, lacks `train`, `val` or both `names` and `nc`, names
            classes that are not numbered 0 to n - 1, or points at a path that does not exist or holds no images.
    """
    try:
        return _load(_find(str(data)))
    except OSError as error:  # no permission, a name too long for the file system
        raise InputError(f"{data}: {error.filename or 'a path in it'} cannot be read ({error.strerror})") from error


def load_names(data: str | Path) -> dict[int, str]:
    """Read the class names of a data.yaml, without looking at its splits.

    Raises:
        InputError: as `load_dataset`, for the file and its `names:` or `nc:`.
    """
    return _names(Path(data), _read(Path(data)))


def _load(file: Path) -> Dataset:
    _refuse_archive(file)
    content = _read(file)
    if "val" not in content and "validation" in content:  # Ultralytics renames it too
        content["val"] = content.pop("validation")
    for key in ("train", "val"):
        if not content.get(key):
            raise InputError(f"{file}: there is no '{key}:'; name a folder of images, such as '{key}: images/{key}'")
    names = _names(file, content)
    root = _root(file, content)
    _refuse_outside(file, root, content)
    splits = {key: _images(file, key, root, content[key]) for key in ("train", "val", "test") if content.get(key)}
    return Dataset(yaml=file.absolute(), names=names, pixels=content.get("pixels"), **splits)


def _find(data: str) -> Path:
    if "://" in data:
        raise InputError(
            f"{data}: Frostline downloads nothing; download the dataset and give the path of its data.yaml"
        )
    file = Path(data)
    if file.is_dir():
        return _yaml_in(file)
    if not file.exists():
        # Ultralytics also takes the name of a data.yaml it ships. Its folder is found without importing it (seconds).
        package = importlib.util.find_spec("ultralytics")
        shipped = [Path(folder) for folder in (package.submodule_search_locations or [])] if package else []
        known = [path for folder in shipped for path in (folder / "cfg" / "datasets").rglob("*.yaml")]
        found = [path for path in known if data in {path.name, path.stem}]
        if len(found) != 1:
            raise InputError(f"{data}: there is no such file; give the path of a data.yaml")
        file = found[0]
    if file.suffix.lower() in _ARCHIVES:
        raise InputError(f"{file}: this is an archive; unpack it and give the path of the data.yaml inside")
    if file.suffix.lower() not in {".yaml", ".yml"}:
        raise InputError(f"{file}: a dataset is named by its data.yaml, a file ending in .yaml or .yml")
    return file


def _refuse_archive(file: Path) -> None:
    """Refuse a data.yaml that is an archive as well: Ultralytics would unpack it and go by the one inside."""
    if zipfile.is_zipfile(file) or tarfile.is_tarfile(file):
        raise InputError(f"{file}: is an archive as well as a text; Frostline unpacks nothing, give a plain data.yaml")


def _yaml_in(folder: Path) -> Path:
    found: list[Path] = []
    for pattern in ("*.yaml", "*.yml"):  # the first pattern that is met wins, and this folder before deeper ones
        found = found or sorted(folder.glob(pattern)) or sorted(folder.rglob(pattern))
    if len(found) > 1:
        found = [file for file in found if file.stem == folder.stem]
    if len(found) != 1:
        raise InputError(f"{folder}: this folder does not hold exactly one YAML file; give the path of its data.yaml")
    return found[0]


def _read(file: Path) -> dict[str, Any]:
    try:
        text = read_bounded(file, MOST_YAML_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:  # Ultralytics leaves such bytes out: a class name would lose its letters
        raise InputError(f"{file}: not UTF-8 text; save the file as UTF-8") from error
    try:
        content = parse_yaml(text)
    except (yaml.YAMLError, ValueError):
        try:
            content = parse_yaml(_UNPRINTABLE.sub("", text))
        except (yaml.YAMLError, ValueError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f" at line {mark.line + 1}" if mark else ""
            unprintable = isinstance(error, yaml.reader.ReaderError)
            problem = getattr(error, "problem", None) or ("characters it does not allow" if unprintable else error)
            raise InputError(f"{file}: this is not YAML{where} ({problem}); correct the file") from error
    if not isinstance(content, dict):
        what = "empty" if content is None else f"a YAML {type(content).__name__}"
        raise InputError(f"{file}: this is {what}, not a mapping; a data.yaml has 'train:', 'val:' and 'names:'")
    content = {key: None if value == "None" else value for key, value in content.items()}
    kinds: dict[str, tuple[type, ...]] = {"path": (str,), **dict.fromkeys(("train", "val", "test"), (str, list))}
    for key, kind in {**kinds, "names": (list, dict)}.items():
        if content.get(key) is not None and not isinstance(content[key], kind):
            wanted = " or ".join("text" if one is str else f"a {one.__name__}" for one in kind)
            raise InputError(f"{file}: '{key}:' is {content[key]!r}; it must be {wanted}")
    return content


def _names(file: Path, content: Mapping[str, Any]) -> dict[int, str]:
    names, count = content.get("names"), _count(file, content)
    if names is None:
        if count is None:
            raise InputError(f"{file}: there is no 'names:' in it; list the classes, such as 'names: [Car, Cyclist]'")
        return {index: f"class_{index}" for index in range(count)}
    try:
        pairs = list(enumerate(names) if isinstance(names, list) else names.items())
        named = {int(key): str(name) for key, name in pairs}
    except (TypeError, ValueError):
        raise InputError(
            f"{file}: 'names:' has a class id that is not a whole number; number the classes 0, 1, 2"
        ) from None
    if sorted(named) != list(range(len(names))) or not named:
        given = ", ".join(map(str, names)) or "no classes"
        raise InputError(f"{file}: 'names:' has {given}; class ids must be 0, 1, 2 and so on without gaps or repeats")
    if any(name is None or not str(name).strip() for _, name in pairs):
        raise InputError(f"{file}: 'names:' has a class without a name; name every class")
    twice = [name for name, number in Counter(named.values()).items() if number > 1]
    if twice:
        raise InputError(f"{file}: 'names:' has '{twice[0]}' twice; results are kept by name, so give each its own")
    if count is not None and count != len(named):
        raise InputError(f"{file}: 'nc: {count}' but 'names:' has {len(named)} classes; remove 'nc:' or correct it")
    return dict(sorted(named.items()))


def _count(file: Path, content: Mapping[str, Any]) -> int | None:
    if "nc" not in content:
        return None
    try:
        number = float(content["nc"])
        if number < 1 or number > MOST_CLASSES or number != int(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{file}: 'nc: {content['nc']}' must be a whole number of classes, 1 to {MOST_CLASSES:,}"
        ) from None
    return int(number)


def _root(file: Path, content: Mapping[str, Any]) -> Path:
    root = Path(content.get("path") or file.parent)
    if not root.exists() and not root.is_absolute():
        from ultralytics.utils import DATASETS_DIR  # takes seconds, and only this case needs the user's setting

        root = (DATASETS_DIR / root).resolve()
    return root


def _refuse_outside(file: Path, root: Path, content: Mapping[str, Any]) -> None:
    """Refuse splits that lead out of the dataset, unless the user said that they may.

    Raises:
        InputError: naming the entry and where it leads.
    """
    if outside_allowed():
        return
    for split in ("train", "val", "test"):
        entry = content.get(split) or []
        for item in entry if isinstance(entry, list) else [entry]:
            if isinstance(item, str) and (place := leads_outside(item, root, file.parent)) is not None:
                stripped = item[3:] if item.startswith("../") and not place.exists() else None
                if stripped is not None and leads_outside(stripped, root, file.parent) is None:
                    continue  # an old habit of exports, see below
                raise InputError(f"{file}: '{split}: {item}' leads out of the dataset, to {place}; {ALLOW_ADVICE}")


def _images(file: Path, split: str, root: Path, entry: str | list[Any]) -> list[Path]:
    images: list[str] = []
    for item in entry if isinstance(entry, list) else [entry]:
        if not isinstance(item, str):
            raise InputError(
                f"{file}: '{split}:' lists {item!r}; every entry must be the path of a folder or a .txt list"
            )
        source = (root / item).resolve()
        if isinstance(entry, str) and not source.exists() and item.startswith("../"):  # an old habit of exports
            source = (root / item[3:]).resolve()
        if source.is_dir():
            # glob, not pathlib: Ultralytics' pattern skips hidden files and follows linked folders
            images += glob.glob(str(Path(glob.escape(str(source))) / "**" / "*.*"), recursive=True)  # noqa: PTH207
        elif source.is_file():
            images += _listed(file, split, source, root)
        else:
            hint = "correct it or remove the line" if split == "test" else "correct it, or the 'path:' above it"
            raise InputError(f"{file}: '{split}: {item}' does not exist (looked for {source}); {hint}")
    found = sorted(name for name in images if f".{name.rpartition('.')[-1].lower()}" in IMAGE_SUFFIXES)
    if not found:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise InputError(f"{file}: '{split}: {entry}' holds no images; put images there ({kinds})")
    return [Path(name) for name in found]


def _listed(file: Path, split: str, source: Path, root: Path) -> list[str]:
    if source.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{file}: '{split}:' names the image {source}; name its folder or a .txt list of images")
    try:
        lines = "\n".join(read_lines(source)).strip().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{source}: '{split}:' of {file} must be a folder or a UTF-8 list, one image a line") from None
    parent, allowed = f"{source.parent}{os.sep}", outside_allowed()
    images = [line.replace("./", parent, 1) if line.startswith("./") else line for line in lines]
    for number, image in enumerate(images, start=1):
        if not allowed and (place := leads_outside(image, root, file.parent)) is not None:
            raise InputError(f"{source}, line {number}: leads out of the dataset, to {place}; {ALLOW_ADVICE}")
        if f".{image.rpartition('.')[-1].lower()}" in IMAGE_SUFFIXES and not Path(image).is_file():
            raise InputError(f"{source}, line {number}: there is no image {image}; correct the list of '{split}:'")
    return images
