"""Many scenes on disk: two datasets of the same streets, linear and sRGB, with shadow masks and true directions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from frostline.datasets.scenes.layout import CLASSES
from frostline.datasets.scenes.render import Scene, check_size, render_scene
from frostline.errors import InputError
from frostline.files import read_json, write_json, write_text
from frostline.imaging import linear_to_srgb, write_png8, write_tiff16
from frostline.imaging.parallel import each, worker_count

PARAMETERS = "scenes.json"
ISD = "isd.json"


@dataclass(frozen=True)
class SceneSummary:
    """What was rendered.

    Attributes:
        out: the folder.
        linear: data.yaml of the linear 16-bit images.
        srgb: data.yaml of the sRGB images.
        isd: the file with the true illuminant spectral directions.
        images: how many images each split has.
        boxes: how many boxes each class has, in all.
    """

    out: Path
    linear: Path
    srgb: Path
    isd: Path
    images: dict[str, int]
    boxes: dict[str, int]


@dataclass(frozen=True)
class _Task:
    """One scene to render; what a worker process is handed."""

    out: Path
    split: str
    stem: str
    seed: tuple[int, int]
    size: tuple[int, int]


def render_scenes(
    out: Path,
    images: int = 120,
    seed: int = 0,
    size: tuple[int, int] = (480, 320),
    val_fraction: float = 0.2,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SceneSummary:
    """Render a dataset of streets.

    Every image depends on the seed and its own number alone, whatever the number of workers. A folder that is complete,
    with the same parameters, is left as it is.

    Args:
        out: the folder to make: `linear/` and `srgb/`, each with `images/`, `labels/` and data.yaml; `masks/`;
            `isd.json`; `scenes.json` with the parameters.
        images: how many, train and val together; at least 2.
        seed: of everything; 0 or more.
        size: width and height in pixels.
        val_fraction: share of the images that go to val, between 0 and 1; each split gets at least one.
        workers: processes; None for one a core. Scripts that leave it so need an `if __name__ == "__main__"` guard.
        progress: called with the images done and the images in all.

    Returns:
        Counts and the places of the files.

    Raises:
        InputError: for a parameter out of range, or if the folder holds something else or cannot be written.
    """
    if images < 2 or seed < 0 or not 0 < val_fraction < 1:
        raise InputError("scenes need at least 2 images, a seed of 0 or more and a val fraction between 0 and 1")
    check_size(size)
    worker_count(workers, images)
    parameters = {"images": images, "seed": seed, "size": list(size), "val_fraction": val_fraction}
    tasks = _tasks(out, parameters)
    if not _complete(out, parameters, tasks):
        try:
            _render_all(out, parameters, tasks, workers, progress)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error})") from None
    return _summary(out, tasks)


def _tasks(out: Path, parameters: dict[str, Any]) -> list[_Task]:
    images, seed = parameters["images"], parameters["seed"]
    count = min(images - 1, max(1, round(images * parameters["val_fraction"])))
    # A stream of its own, so that the split does not follow the scenes' numbers.
    held_out = set(np.random.default_rng((seed, images)).permutation(images)[:count].tolist())
    width, height = parameters["size"]
    return [
        _Task(out, "val" if index in held_out else "train", f"scene_{index:05d}", (seed, index), (width, height))
        for index in range(images)
    ]


def _complete(out: Path, parameters: dict[str, Any], tasks: list[_Task]) -> bool:
    """Say whether the folder holds these scenes already; refuse one that holds something else."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; expected a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return False
    try:
        found = read_json(out / PARAMETERS)
    except (OSError, ValueError):
        raise InputError(f"{out}: is not empty and holds no scenes; choose a new folder") from None
    if found != parameters:
        raise InputError(f"{out}: holds scenes with other parameters ({found}); choose a new folder")
    return (out / ISD).is_file() and all(path.is_file() for task in tasks for path in _places(task).values())


def _render_all(
    out: Path,
    parameters: dict[str, Any],
    tasks: list[_Task],
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    write_json(out / PARAMETERS, parameters)
    directions: dict[str, list[float]] = {}
    for task, result in each(_render, tasks, workers):
        if isinstance(result, Exception):
            raise result
        directions[task.stem] = result
        if progress is not None:
            progress(len(directions), len(tasks))
    content = {"train": "images/train", "val": "images/val", "names": dict(enumerate(CLASSES))}
    for form in ("linear", "srgb"):
        write_text(out / form / "data.yaml", yaml.safe_dump(content, sort_keys=False))
    mean = np.mean(list(directions.values()), axis=0)
    mean /= np.linalg.norm(mean)
    # Written last: its presence says that the folder is complete.
    write_json(out / ISD, {"isd": mean.tolist(), "images": dict(sorted(directions.items()))})


def _places(task: _Task) -> dict[str, Path]:
    image, label = Path("images", task.split, task.stem), Path("labels", task.split, task.stem)
    return {
        "linear": task.out / "linear" / image.with_suffix(".tiff"),
        "linear_label": task.out / "linear" / label.with_suffix(".txt"),
        "srgb": task.out / "srgb" / image.with_suffix(".png"),
        "srgb_label": task.out / "srgb" / label.with_suffix(".txt"),
        "mask": (task.out / "masks" / task.split / task.stem).with_suffix(".png"),
    }


def _render(task: _Task) -> list[float]:
    """Render and write one scene, and return its direction; runs in a worker."""
    scene = render_scene(np.random.default_rng(task.seed), task.size)
    places, direction = _places(task), [float(component) for component in scene.isd]
    write_tiff16(places["linear"], scene.linear, {"seed": task.seed[0], "index": task.seed[1], "isd": direction})
    write_png8(places["srgb"], linear_to_srgb(scene.linear))
    write_png8(places["mask"], scene.mask)
    for label in ("linear_label", "srgb_label"):
        write_text(places[label], label_text(scene))
    return direction


def label_text(scene: Scene) -> str:
    """Give a scene's boxes as YOLO labels: class, centre and size, in shares of the picture."""
    height, width = scene.linear.shape[:2]
    lines = []
    for kind, (left, top, right, bottom) in zip(scene.classes.tolist(), scene.boxes.tolist(), strict=True):
        centre = f"{(left + right) / 2 / width:.6f} {(top + bottom) / 2 / height:.6f}"
        lines.append(f"{kind} {centre} {(right - left) / width:.6f} {(bottom - top) / height:.6f}\n")
    return "".join(lines)


def _summary(out: Path, tasks: list[_Task]) -> SceneSummary:
    counts: Counter[int] = Counter()
    for task in tasks:
        lines = _places(task)["srgb_label"].read_text(encoding="utf-8").splitlines()
        counts.update(int(line.split()[0]) for line in lines)
    images = Counter(task.split for task in tasks)
    boxes = {name: counts[index] for index, name in enumerate(CLASSES)}
    linear, srgb = out / "linear" / "data.yaml", out / "srgb" / "data.yaml"
    return SceneSummary(out, linear, srgb, out / ISD, {"train": images["train"], "val": images["val"]}, boxes)
