"""Images of more than 8 bits from the file to the first convolution, asserted there, value by value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
import yaml
from byte_scenes import GROUND, write_byte_scenes
from torch import nn

import frostline as fl

pytestmark = pytest.mark.integration

SETTINGS = {"epochs": 1, "imgsz": 96, "batch": 4, "plots": False, "warmup_epochs": 0.0, "nbs": 4, "device": "cpu"}
UNCHANGED = {"mosaic": 0.0, "translate": 0.0, "scale": 0.0, "fliplr": 0.0, "hsv_v": 0.0}
HEIGHT, WIDTH = 72, 96


@dataclass
class Seen:
    """Batches that reached a convolution of three channels, in training and in validation."""

    train: list[torch.Tensor] = field(default_factory=list)
    val: list[torch.Tensor] = field(default_factory=list)


@pytest.fixture
def seen() -> Iterator[Seen]:
    found = Seen()

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        # One image alone is what Ultralytics sends through when it counts strides and operations.
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and len(inputs[0]) > 1:
            (found.train if module.training else found.val).append(inputs[0].detach().clone())

    handle = nn.modules.module.register_module_forward_pre_hook(look)
    yield found
    handle.remove()


def noise(folder: Path, kind: str, scale: float = 1.0, **pixels: Any) -> Path:
    """Images that use every bit of every value, wider than high, so that they are padded."""
    rng = np.random.default_rng(5)
    for split, count in (("train", 8), ("val", 4)):
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True)
        for index in range(count):
            image = rng.integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
            if kind == "float32":
                image = (rng.random((HEIGHT, WIDTH, 3)) * scale).astype(np.float32)
            tifffile.imwrite(folder / "images" / split / f"{split}{index}.tif", image)
            (folder / "labels" / split / f"{split}{index}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    told = {"train": "images/train", "val": "images/val", "names": {0: "x"}} | ({"pixels": pixels} if pixels else {})
    (folder / "data.yaml").write_text(yaml.safe_dump(told))
    return folder / "data.yaml"


def expected(data: Path, split: str, shape: tuple[int, int], high: float) -> dict[str, torch.Tensor]:
    """What each image of a split must look like to the network: worked out here, from the file, without our code."""
    tensors = {}
    for path in sorted((data.parent / "images" / split).glob("*.tif")):
        image = tifffile.imread(path)
        padding = round(high * 114 / 255) if image.dtype == np.uint16 else high * 114 / 255
        top, left = (shape[0] - HEIGHT) // 2, (shape[1] - WIDTH) // 2
        canvas = np.full((*shape, 3), padding, np.float32)
        canvas[top : top + HEIGHT, left : left + WIDTH] = image
        tensors[path.name] = torch.from_numpy((canvas / np.float32(high)).transpose(2, 0, 1).copy())
    return tensors


def which(images: Iterable[torch.Tensor], among: dict[str, torch.Tensor]) -> list[str]:
    """The name of every image that is one of these, value by value."""
    return [name for image in images for name, tensor in among.items() if torch.equal(image, tensor)]


@pytest.mark.parametrize(
    ("kind", "scale", "pixels"),
    [("uint16", 1.0, {}), ("float32", 1.0, {}), ("float32", 3.0, {"range": [0, 3]})],
)
def test_without_augmentation_the_network_sees_the_file(
    kind: str, scale: float, pixels: dict[str, Any], tiny_yaml: Path, tmp_path: Path, seen: Seen
) -> None:
    data = noise(tmp_path / "data", kind, scale, **pixels)
    fl.train(tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, **SETTINGS, **UNCHANGED)
    high = 65535.0 if kind == "uint16" else scale
    trained = expected(data, "train", (96, 96), high)
    assert sorted(which(chain(*seen.train), trained)) == sorted(trained)
    validated = expected(data, "val", (96, 128), high)
    # Validation after the epoch, and the evaluation of best.pt on val and on train.
    images = list(chain(*seen.val))
    names = which(images, validated)
    assert {name: names.count(name) for name in validated} == dict.fromkeys(validated, 2)
    on_train = which(images, expected(data, "train", (96, 128), high))
    assert sorted(on_train) == sorted(trained) and len(names) + len(on_train) == len(images)


def test_a_resized_image_keeps_more_than_a_byte(tiny_yaml: Path, tmp_path: Path, seen: Seen) -> None:
    data = noise(tmp_path / "data", "uint16")
    fl.train(tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, **{**SETTINGS, "imgsz": 64}, **UNCHANGED)
    wanted = []
    for path in sorted((data.parent / "images" / "val").glob("*.tif")):
        small = cv2.resize(tifffile.imread(path), (64, 48), interpolation=cv2.INTER_LINEAR)
        canvas = np.full((64, 96, 3), 29298, np.uint16)
        canvas[8:56, 16:80] = small
        wanted.append(torch.from_numpy(canvas.transpose(2, 0, 1).astype(np.float32) / np.float32(65535)))
    images = list(chain(*seen.val))
    assert all(any(torch.equal(image, tensor) for image in images) for tensor in wanted)


def codes(batches: list[torch.Tensor]) -> np.ndarray:
    """The values of the files, given back; each is whole or the input was not made of them."""
    values = torch.cat([batch.flatten() for batch in batches]).double().numpy() * 65535
    assert np.abs(values - np.rint(values)).max() < 1e-2
    return np.rint(values).astype(int)


def test_mosaic_and_warp_keep_both_bytes(tiny_yaml: Path, tmp_path: Path, seen: Seen) -> None:
    """A canvas of 8 bits keeps the low byte of such images, by accident, and loses the high one."""
    data = write_byte_scenes(tmp_path / "data", "low", train=8, val=4)
    fl.train(
        tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, **{**SETTINGS, "epochs": 3}, close_mosaic=1,
        hsv_v=0.0, scale=0.5, translate=0.2,
    )  # fmt: skip
    with_mosaic, without = codes(seen.train[:4]), codes(seen.train[4:])
    assert len(seen.train) == 6 and len(seen.val) > 0
    for found in (with_mosaic, without, codes(seen.val)):
        assert np.all(found >> 8 == GROUND), "blends of values that share their high byte have it, too"
        assert len(np.unique(found & 255)) > 40


def test_mosaic_alone_makes_no_new_values(tiny_yaml: Path, tmp_path: Path, seen: Seen) -> None:
    data = noise(tmp_path / "data", "uint16")
    fl.train(
        tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, **SETTINGS, close_mosaic=0,
        **{**UNCHANGED, "mosaic": 1.0, "fliplr": 0.5},
    )  # fmt: skip
    stored = np.concatenate([tifffile.imread(path).ravel() for path in data.parent.glob("images/train/*.tif")])
    found = codes(seen.train)
    assert set(np.unique(found)) <= {*np.unique(stored).tolist(), 29298}
    assert (found == 29298).mean() > 0.05, "the padding of the canvas"
    assert len(np.unique(found)) > 20000 and len(np.unique(found >> 8)) == len(np.unique(found & 255)) == 256


def test_brightness_keeps_more_than_a_byte(tiny_yaml: Path, tmp_path: Path, seen: Seen) -> None:
    data = noise(tmp_path / "data", "uint16")
    fl.train(
        tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, **SETTINGS, **{**UNCHANGED, "hsv_v": 0.4},
    )  # fmt: skip
    found, trained = codes(seen.train), expected(data, "train", (96, 96), 65535.0)
    assert len(np.unique(found & 255)) == 256 and len(np.unique(found)) > 20000
    assert which(chain(*seen.train), trained) == [], "all were changed"
    padding = {round(float(image[0, 0, 0]) * 65535) / 29298 for batch in seen.train for image in batch}
    assert len(padding) > 4 and min(padding) > 0.59 and max(padding) < 1.41, "by a gain of each image's own"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cache", "scale", "pixels"), [("ram", 1.0, {}), ("disk", 3.0, {"range": [0, 3], "encoding": "srgb"})]
)
def test_a_float_dataset_goes_the_whole_way(
    cache: str, scale: float, pixels: dict[str, Any], tiny_yaml: Path, tmp_path: Path, seen: Seen
) -> None:
    data = noise(tmp_path / "data", "float32", scale, **pixels)
    changes = {"plots": True, "cache": cache, "hsv_v": 0.0, "scale": 0.0, "translate": 0.0, "epochs": 2}
    run = fl.train(tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, **{**SETTINGS, **changes}, close_mosaic=1)
    assert run.audit_passed and len(run.record["epoch_seconds"]) == 2
    files = sorted(path.name for path in data.parent.glob("images/*/*.npy"))
    arrays = sorted(f"{path.name}.exact.npy" for path in data.parent.glob("images/*/*.tif"))
    assert files == (arrays if cache == "disk" else []), "never <stem>.npy, which Ultralytics would take for the image"
    stored = np.concatenate([tifffile.imread(path).ravel() for path in data.parent.glob("images/train/*.tif")])
    allowed = {*(stored / np.float32(scale)).tolist(), np.float32(scale * 114 / 255) / np.float32(scale)}
    values = torch.cat([batch.flatten() for batch in seen.train]).numpy()
    assert len(np.unique(values)) > 50000 and set(np.unique(values).tolist()) <= allowed
    for name in ("train_batch0.jpg", "val_batch0_labels.jpg", "val_batch0_pred.jpg"):
        picture = cv2.imread(str(run.folder / name))
        assert 60 < picture.mean() < 200 and picture.std() > 20, f"{name} shows something"


def test_a_torn_cache_does_not_reach_the_network(tiny_yaml: Path, tmp_path: Path, seen: Seen) -> None:
    data = noise(tmp_path / "data", "float32")
    settings = {**SETTINGS, **UNCHANGED, "cache": "disk"}
    fl.train(tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path / "one", **settings)
    first = seen.train.copy()
    seen.train.clear()
    torn = data.parent / "images" / "train" / "train3.tif.exact.npy"
    torn.write_bytes(torn.read_bytes()[:1000])
    fl.train(tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path / "two", **settings)
    assert all(torch.equal(one, other) for one, other in zip(first, seen.train, strict=True))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"train3\.tif: holds NaN or infinite values"),
        (1.5, r"train3\.tif: holds values from 0\.?\d* to 1\.5, outside the range 0 to 1; declare the right one"),
        (-0.5, r"train3\.tif: holds values from -0\.5 to .*outside the range 0 to 1"),
    ],
)
def test_a_value_outside_the_range_is_one_clear_line(
    value: float, message: str, tiny_yaml: Path, tmp_path: Path
) -> None:
    data = noise(tmp_path / "data", "float32")
    path = data.parent / "images" / "train" / "train3.tif"
    image = tifffile.imread(path)
    image[5, 6, 0] = value
    tifffile.imwrite(path, image)
    with pytest.raises(fl.InputError, match=message) as caught:
        fl.train(tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, **SETTINGS)
    assert "\n" not in str(caught.value)


def test_every_precision_leaves_the_first_convolution_all_bits(tiny_yaml: Path, tmp_path: Path, seen: Seen) -> None:
    """Half precision has 11 significant bits at most, so the layer that takes the pixels computes in float32."""
    data = noise(tmp_path / "data", "uint16")
    run = fl.train(tiny_yaml, data, fl.FreezePlan.none(), project=tmp_path, precision="bf16", **SETTINGS, **UNCHANGED)
    assert run.record["arithmetic"]["precision"] == "bf16" and run.record["arithmetic"]["float32_first"]
    trained = expected(data, "train", (96, 96), 65535.0)
    assert {images.dtype for images in seen.train} == {torch.float32}
    assert sorted(which(chain(*seen.train), trained)) == sorted(trained)
