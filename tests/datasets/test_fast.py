"""Images kept decoded and mosaics without a canvas: faster, and the same tensors to the bit."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader, build_yolo_dataset
from ultralytics.data.augment import Compose, CopyPaste, Mosaic, RandomPerspective
from ultralytics.data.dataset import YOLODataset

from frostline.datasets import EIGHT_BITS, PixelFormat
from frostline.datasets.build import build_split
from frostline.datasets.direct_mosaic import DirectMosaic, DirectPerspective
from frostline.datasets.image_cache import ImageCache

FORMATS = {
    "uint8": EIGHT_BITS,
    "uint16": PixelFormat("uint16", 0.0, 65535.0, "linear"),
    "float32": PixelFormat("float32", 0.0, 1.0, "log", (7.4, 13.4)),
    "lossless8": PixelFormat("uint8", 0.0, 255.0, "srgb"),
}
DATA = {"names": {0: "x", 1: "y"}, "nc": 2, "channels": 3}
COUNT = 24


def folder_of(path: Path, kind: str, count: int = COUNT) -> str:
    """Images of many sizes, lying and standing, each with a few boxes."""
    draw = np.random.default_rng(0)
    for part in ("images", "labels"):
        (path / part).mkdir(parents=True)
    for index in range(count):
        height, width = (int(side) for side in draw.integers(60, 140, 2))
        values = draw.integers(0, 65536, (height, width, 3))
        if kind == "uint16":
            tifffile.imwrite(path / "images" / f"{index}.tif", values.astype(np.uint16))
        elif kind == "float32":
            tifffile.imwrite(path / "images" / f"{index}.tif", (values / 65535).astype(np.float32))
        else:
            cv2.imwrite(str(path / "images" / f"{index}.png"), values >> 8)
        boxes = draw.uniform(0.2, 0.8, (index % 4, 4)) * (1, 1, 0.5, 0.5)
        lines = (" ".join(map(str, (int(draw.integers(2)), *box))) for box in boxes)
        (path / "labels" / f"{index}.txt").write_text("\n".join(lines))
    return str(path / "images")


def arguments(**changes: Any) -> Any:
    settings = {"imgsz": 96, "mosaic": 1.0, "augmentations": [], "cache": False, "task": "detect"}
    return get_cfg(overrides={**settings, **changes})


def built(images: str, kind: str, mode: str, args: Any, **options: Any) -> Any:
    rect = mode == "val"
    return build_split(args, images, 2, dict(DATA), FORMATS[kind], mode=mode, rect=rect, stride=32, **options)


def plain(images: str, kind: str, mode: str, args: Any) -> Any:
    """What `build_split` gives without any of this: for 8 bits, Ultralytics' dataset from its own function."""
    if kind == "uint8":
        return build_yolo_dataset(args, images, 2, dict(DATA), mode=mode, rect=mode == "val", stride=32)
    return built(images, kind, mode, args, direct_mosaic=False)


def epochs(dataset: Any, args: Any) -> list[dict[str, Any]]:
    """Every batch of two epochs with mosaic and one after `close_mosaic`."""
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    batches = []
    for epoch in range(3 if dataset.augment else 1):
        if epoch == 2:
            dataset.close_mosaic(args)
        order = torch.randperm(len(dataset)).tolist() if dataset.augment else list(range(len(dataset)))
        for first in range(0, len(order), 2):
            batches.append(dataset.collate_fn([dataset[index] for index in order[first : first + 2]]))
    return batches


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs)
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one.keys() == other.keys() and one["im_file"] == other["im_file"]
        assert all(np.array_equal(one[key], other[key]) for key in ("ori_shape", "resized_shape"))
        for key in ("img", "cls", "bboxes", "batch_idx"):
            assert one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]), (number, key)


@pytest.mark.parametrize(("cached", "direct"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("kind", list(FORMATS))
def test_every_batch_of_training_is_the_same(kind: str, cached: bool, direct: bool, tmp_path: Path) -> None:
    """Mosaic draws from the images that were loaded last, so the draws agree only if that buffer does."""
    images = folder_of(tmp_path / "data", kind)
    cache = ImageCache(tmp_path / "cache") if cached else None
    ours = built(images, kind, "train", arguments(), images_kept=cache, direct_mosaic=direct)
    first = ours.transforms.transforms[0].transforms[0]
    assert isinstance(first, DirectMosaic) == direct and (ours._images is not None) == cached
    theirs = plain(images, kind, "train", arguments())
    if kind == "uint8":
        assert type(theirs) is YOLODataset
    ours, theirs = epochs(ours, arguments()), epochs(theirs, arguments())
    assert_same(ours, theirs)
    assert not torch.equal(ours[0]["img"], ours[12]["img"]), "and epochs differ"


@pytest.mark.parametrize("kind", list(FORMATS))
def test_every_batch_of_validation_is_the_same(kind: str, tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", kind)
    cache = ImageCache(tmp_path / "cache")
    ours = built(images, kind, "val", arguments(), images_kept=cache)
    assert_same(epochs(ours, arguments()), epochs(plain(images, kind, "val", arguments()), arguments()))


@pytest.mark.parametrize(
    "changes",
    [
        {"mixup": 0.7, "cutmix": 0.5, "mosaic": 0.6},
        {"degrees": 10.0},
        {"shear": 5.0, "mosaic": 0.7},
        {"perspective": 0.0005},
        {"scale": 0.9, "translate": 0.4, "flipud": 0.5},
        {"imgsz": 320, "scale": 0.0},
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_every_batch_is_the_same_under_other_augmentation(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", kind)
    ours = built(images, kind, "train", arguments(**changes), images_kept=ImageCache(tmp_path / "cache"))
    theirs = plain(images, kind, "train", arguments(**changes))
    assert_same(epochs(ours, arguments(**changes)), epochs(theirs, arguments(**changes)))


def test_a_mosaic_of_sixteen_bits_keeps_the_low_byte(tmp_path: Path) -> None:
    """The high byte is the same in all of the image: what differs is what 8 bits would lose."""
    images = folder_of(tmp_path / "data", "uint16", 6)
    for path in Path(images).glob("*.tif"):
        low = tifffile.imread(path) & 0xFF
        tifffile.imwrite(path, (0x4000 | low).astype(np.uint16))
    changes = {"scale": 0.0, "translate": 0.0, "hsv_v": 0.0, "fliplr": 0.0}
    dataset = built(images, "uint16", "train", arguments(**changes), images_kept=ImageCache(tmp_path / "cache"))
    image = dataset[0]["img"].numpy()
    assert image.dtype == np.uint16
    held = image[image >> 8 == 0x40]
    assert held.size > 96 * 96 and len(np.unique(held & 0xFF)) > 200


def test_a_cache_that_the_user_chose_is_used_as_before(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", "uint16")
    for choice in ("disk", "ram"):
        args = arguments(cache=choice)
        dataset = built(images, "uint16", "train", args, images_kept=ImageCache(tmp_path / "cache"))
        assert dataset.cache == choice and dataset._images is None
    assert len(list(Path(images).glob("*.exact.npy"))) == COUNT and not (tmp_path / "cache").exists()


def test_a_sample_is_kept_too(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", "uint16")
    cache = ImageCache(tmp_path / "cache")
    ours = built(images, "uint16", "val", arguments(), images_kept=cache, keep=5, sample_seed=1)
    theirs = built(images, "uint16", "val", arguments(), keep=5, sample_seed=1)
    assert len(ours) == len(theirs) == 5
    assert_same(epochs(ours, arguments()), epochs(theirs, arguments()))


def test_an_array_beside_an_image_is_taken_for_it_as_ultralytics_does(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", "uint8")
    cache = ImageCache(tmp_path / "cache")
    before = built(images, "uint8", "val", arguments(), images_kept=cache)
    np.save(Path(images) / "3.npy", np.full((80, 80, 3), 7, np.uint8))
    ours = built(images, "uint8", "val", arguments(), images_kept=cache)
    theirs = plain(images, "uint8", "val", arguments())
    position = [Path(file).stem for file in ours.im_files].index("3")
    assert (theirs.load_image(position)[0] == 7).all()
    assert np.array_equal(ours.load_image(position)[0], theirs.load_image(position)[0])
    assert not np.array_equal(before.load_image(position)[0], theirs.load_image(position)[0])


def test_only_a_mosaic_that_nothing_touches_before_its_warp_is_direct(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", "uint8")
    kinds = [type(part) for part in built(images, "uint8", "train", arguments()).transforms.transforms[0].transforms]
    assert kinds == [DirectMosaic, CopyPaste, DirectPerspective]
    pasting = built(images, "uint8", "train", arguments(copy_paste=0.5)).transforms.transforms[0].transforms
    assert [type(part) for part in pasting] == [Mosaic, CopyPaste, RandomPerspective]
    assert isinstance(built(images, "uint8", "val", arguments()).transforms, Compose)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_workers_give_the_same_batches(kind: str, tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", kind)

    def batches(dataset: Any) -> list[dict[str, Any]]:
        torch.manual_seed(5)
        loader = build_dataloader(dataset, 3, workers=1, shuffle=True)
        found = list(loader)
        loader.close()
        return found

    ours = built(images, kind, "train", arguments(), images_kept=ImageCache(tmp_path / "cache"))
    assert_same(batches(ours), batches(plain(images, kind, "train", arguments())))


def test_a_dataset_is_sent_to_another_process_without_its_images(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "data", "uint16")
    dataset = built(images, "uint16", "val", arguments(), images_kept=ImageCache(tmp_path / "cache"))
    sent = pickle.dumps(dataset)
    assert len(sent) < 40_000, "an image has 24,000 bytes or more"
    assert np.array_equal(pickle.loads(sent).load_image(2)[0], dataset.load_image(2)[0])
