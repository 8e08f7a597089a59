"""The folder that every converter writes: images and labels, in splits or not yet, without absolute paths."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.splitting import group_names, split_groups
from frostline.errors import InputError
from frostline.files import write_text, written_beside

CLASSES_FILE = "classes.txt"
"""Class names, one a line, beside images that are in no split yet."""


def refuse_inside(src: Path, out: Path) -> None:
    """Keep a conversion out of the folder that it reads.

    Raises:
        InputError: `out` is `src` or lies inside it.
    """
    if out.resolve().is_relative_to(src.resolve()):
        raise InputError(f"{out}: lies in {src}, which is only read; choose a folder outside it")


def split_names(names: Sequence[str], ratio: float, seed: int) -> dict[str, list[str]]:
    """Split names into `train` and `val`, the same on any machine and in whatever order they come.

    Args:
        names: at least two, all different.
        ratio: share of `train`, in (0, 1). The number is rounded down; each split gets at least one.
        seed: picks the split.

    Returns:
        The names of each split, sorted.

    Raises:
        InputError: the ratio is out of range, or there are fewer than two names.
    """
    if not 0 < ratio < 1:
        raise InputError(f"ratio {ratio:g} must lie between 0 and 1, such as 0.8 for 80 % to train on")
    return split_groups(group_names(names, None), (ratio, 1 - ratio), seed)


def write_dataset(
    out: Path,
    splits: Mapping[str, Sequence[str]],
    images: Mapping[str, Path],
    labels: Mapping[str, str],
    classes: Sequence[str],
    *,
    note: str,
    extra: Mapping[str, str] | None = None,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write `out/images/<split>`, `out/labels/<split>`, `extra` files and, last, `out/data.yaml`.

    Writing the same dataset again gives the same files. A folder that holds other images or labels is refused, as an
    image left from another split could end up in both.

    Args:
        out: the dataset folder; made if missing.
        splits: split to image names. A name is a stem, or a path of folders and a stem joined by `/`.
        images: name to image file.
        labels: name to the text of its label file.
        classes: class names in the order of their ids.
        note: a comment of one line for the data.yaml.
        extra: name to text of further files beside the data.yaml.
        link: make symbolic links to the images instead of copies.
        progress: called with (images written, images in all).

    Returns:
        The path of the data.yaml.

    Raises:
        InputError: `out` holds another dataset or cannot be written.
    """
    content = {**{split: f"images/{split}" for split in splits}, "names": dict(enumerate(classes))}
    body = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    last = {**(extra or {}), "data.yaml": f"# {note} Paths are relative to this file.\n{body}"}
    _write(out, splits, images, labels, last, link, progress)
    return out / "data.yaml"


def write_unsplit(
    out: Path,
    images: Mapping[str, Path],
    labels: Mapping[str, str],
    classes: Sequence[str],
    *,
    extra: Mapping[str, str] | None = None,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write `out/images`, `out/labels`, `extra` files and, last, `out/classes.txt`: all that a split needs.

    There is no data.yaml, as one that names the same images to train and to validate would be believed.

    Args:
        out: the folder; made if missing.
        images: name to image file; a name is as in `write_dataset`.
        labels: name to the text of its label file.
        classes: class names in the order of their ids, one a line of classes.txt.
        extra: name to text of further files.
        link: make symbolic links to the images instead of copies.
        progress: called with (images written, images in all).

    Returns:
        The path of the classes.txt.

    Raises:
        InputError: `out` holds other images or labels, or cannot be written.
    """
    last = {**(extra or {}), CLASSES_FILE: "".join(f"{name}\n" for name in classes)}
    _write(out, {"": list(images)}, images, labels, last, link, progress)
    return out / CLASSES_FILE


def _write(
    out: Path,
    splits: Mapping[str, Sequence[str]],
    images: Mapping[str, Path],
    labels: Mapping[str, str],
    texts: Mapping[str, str],
    link: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    try:
        _refuse_another_dataset(out, splits, images)
        done, total = 0, sum(map(len, splits.values()))
        for split, names in splits.items():
            for name in names:
                _place(images[name], out / "images" / split / f"{name}{images[name].suffix}", link)
                with written_beside(out / "labels" / split / f"{name}.txt") as beside:
                    beside.write_text(labels[name], encoding="utf-8")
                done += 1
                if progress:
                    progress(done, total)
        for name, text in texts.items():
            write_text(out / name, text)
    except OSError as error:
        # A full disk, a read-only folder.
        reason = error.strerror or error
        raise InputError(f"{out}: cannot be written ({reason}); make room or choose another folder") from error


def _refuse_another_dataset(out: Path, splits: Mapping[str, Sequence[str]], images: Mapping[str, Path]) -> None:
    keys = [(Path(split, name), images[name].suffix) for split, names in splits.items() for name in names]
    planned = {Path("images", f"{key}{suffix}") for key, suffix in keys}
    planned |= {Path("labels", f"{key}.txt") for key, _ in keys}
    for folder in (out / "images", out / "labels"):
        for path in sorted(folder.rglob("*")):
            data = path.suffix.lower() in IMAGE_SUFFIXES or path.suffix == ".txt"
            if data and not path.name.startswith(".") and path.relative_to(out) not in planned:
                raise InputError(f"{path}: is not part of this split; choose an empty folder or remove {out}")


def _place(source: Path, place: Path, link: bool) -> None:
    if place.exists() and not place.is_symlink() and place.samefile(source):
        return  # reading and writing the same folder
    if not link:
        with written_beside(place) as beside:
            shutil.copyfile(source, beside)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.link")
    beside.unlink(missing_ok=True)
    beside.symlink_to(source.resolve())
    beside.replace(place)
