"""Several models looking at the same images, at the same layers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from frostline.datasets import pixel_format
from frostline.datasets.draw import tone_map
from frostline.errors import InputError, did_you_mean
from frostline.imaging.batch import reason
from frostline.probing.activation import ActivationMaps, Explainer, cam_class, chosen_layers, default_layers
from frostline.probing.subjects import Subject
from frostline.training.checkpoints import rounded_imgsz
from frostline.training.machine import choose_device, describe_device, use_all_cores
from frostline.training.predict_model import open_detector, run_facts
from frostline.training.predict_sources import (
    ImageLoader,
    KnownFormats,
    Source,
    dataset_sources,
    find_sources,
    is_data_yaml,
)

logger = logging.getLogger(__name__)
_PICTURE = 1280  # pixels of the longer side that is kept: maps are coarser, figures smaller


@dataclass(frozen=True, eq=False)
class ExplainedImage:
    """An image, and what each model looks at in it.

    Attributes:
        source: the image.
        size: its width and height.
        picture: (h, w, 3) uint8, red, green, blue; tone-mapped where it has more than 8 bits, and at most 1280 wide.
        seen: by name of the model.
    """

    source: Source
    size: tuple[int, int]
    picture: NDArray[np.uint8]
    seen: dict[str, ActivationMaps] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of every image, layer and model.

    Attributes:
        subjects: the models, in order.
        layers: whose outputs were looked at; the same of every model.
        images: those that could be read.
        failed: the others, with the reason.
        names: class id to name, by name of the model.
        settings: method, confidence, class, device, and the image size by name of the model.
    """

    subjects: tuple[Subject, ...]
    layers: tuple[int, ...]
    images: list[ExplainedImage]
    failed: list[tuple[Path, str]]
    names: dict[str, dict[int, str]]
    settings: dict[str, Any]


def explain(
    subjects: Sequence[Subject],
    images: str | Path,
    *,
    layers: str | None = None,
    method: str = "gradcam",
    only: str | None = None,
    conf: float = 0.25,
    limit: int = 6,
    imgsz: int | None = None,
    device: str | None = None,
    trust: bool = False,
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Map what each model looks at in each image; see `probing.activation.Explainer` for what is explained.

    Args:
        subjects: see `find_subjects`.
        images: an image, a folder, or a data.yaml, whose `val` is taken.
        layers: selector; by default `default_layers` of the first model.
        method: of `METHODS`.
        only: name of the one class whose detections are explained.
        conf: least confidence of a detection, 0 to 1.
        limit: images at most, spread evenly over what was found.
        imgsz: longer side at the network's input, pixels; by default that of each model's training, else 640.
        device: `cpu`, `mps` or a GPU's number; by default the first GPU, else the CPU.
        trust: open checkpoints without the restricted loader.
        say: told lines for the user; by default the log.
        progress: called with (maps of an image done, in all).

    Raises:
        InputError: a bad argument, a missing library, or a model or images that are not there.
    """
    say = say or logger.info
    cam_class(method)
    if not 0 <= conf < 1 or limit < 1 or (imgsz is not None and imgsz < 32):
        raise InputError(f"conf {conf:g}, limit {limit}, imgsz {imgsz}: expected 0 to 1, at least 1, at least 32")
    sources, declared = _images(Path(images), limit)
    chosen = choose_device(device)
    target = torch.device(f"cuda:{chosen}" if chosen.isdigit() else chosen)
    if target.type == "cpu":
        use_all_cores()
    failed: dict[Path, str] = {}
    shown: dict[Path, ExplainedImage] = {}
    names: dict[str, dict[int, str]] = {}
    sizes: dict[str, int] = {}
    picked: tuple[int, ...] | None = None
    for number, subject in enumerate(subjects):
        network, trained_size = open_detector(subject.weights, trust)
        facts = run_facts(subject.weights)
        size, note = rounded_imgsz(imgsz or facts.imgsz or trained_size or 640, network)
        if note:
            say(f"warning: {note}")
        names[subject.name] = {int(index): str(name) for index, name in network.names.items()}
        if picked is None and layers is None:
            picked = default_layers(network, size)
        wanted = layers if picked is None else ",".join(map(str, picked))
        assert wanted is not None
        picked = chosen_layers(wanted, network, size, subject.name)
        sizes[subject.name] = size
        only_id = None if only is None else _class_id(only, names[subject.name], subject)
        loader = ImageLoader(sources, KnownFormats(declared, facts.pixels))
        with _explainer(network, picked, method, device=target, imgsz=size, conf=conf, only=only_id) as explainer:
            for done, source in enumerate(sources, number * len(sources) + 1):
                if source.path not in failed:
                    try:
                        image, pixels = loader.read(source.path)
                    except Exception as error:  # a decoder's own: whatever it is, the other images go on
                        failed[source.path] = reason(source.path, error)
                        shown.pop(source.path, None)
                    else:
                        if source.path not in shown:
                            shown[source.path] = _shown(source, image)
                        shown[source.path].seen[subject.name] = explainer.explain(image, pixels)
                if progress is not None:
                    progress(done, len(sources) * len(subjects))
    settings = {
        "method": method, "conf": conf, "class": only, "device": describe_device(chosen), "imgsz": sizes,
    }  # fmt: skip
    return Explanation(tuple(subjects), picked or (), list(shown.values()), list(failed.items()), names, settings)


@contextmanager
def _explainer(*args: Any, **kwargs: Any) -> Iterator[Explainer]:
    explainer = Explainer(*args, **kwargs)
    try:
        yield explainer
    finally:
        explainer.close()


def _images(images: Path, limit: int) -> tuple[list[Source], Any]:
    declared = None
    if is_data_yaml(images):
        dataset, sources = dataset_sources(images, "val")
        declared = pixel_format(dataset), dataset.yaml
    else:
        sources = find_sources([images])
    if len(sources) > limit:
        sources = [sources[number * len(sources) // limit] for number in range(limit)]
    return sources, declared


def _class_id(name: str, names: dict[int, str], subject: Subject) -> int:
    for index, known in names.items():
        if known == name:
            return index
    raise InputError(
        f"--class '{name}': {subject.weights} has no such class{did_you_mean(name, names.values())}; it has "
        f"{', '.join(list(names.values())[:10])}"
    )


def _shown(source: Source, image: NDArray[Any]) -> ExplainedImage:
    picture = tone_map(image[..., ::-1])
    height, width = picture.shape[:2]
    scale = _PICTURE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return ExplainedImage(source, (width, height), picture)
