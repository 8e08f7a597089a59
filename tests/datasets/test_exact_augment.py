"""Augmentation in the images' own type: Ultralytics' geometry and chance, our canvases, padding and light."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ultralytics.data.augment import (
    Albumentations,
    Compose,
    LetterBox,
    MixUp,
    Mosaic,
    RandomFlip,
    RandomHSV,
    RandomPerspective,
)
from ultralytics.utils.instance import Instances

from frostline.datasets.brightness import brightened
from frostline.datasets.exact_augment import Brightness, for_format
from frostline.datasets.pixel_format import PixelFormat

LINEAR = PixelFormat("uint16", 0.0, 65535.0, "linear")
LOG = PixelFormat("uint16", 0.0, 65535.0, "log", (7.4, 13.4))
FLOAT = PixelFormat("float32", 0.0, 2.0, "linear")
FLOAT_LOG = PixelFormat("float32", 0.0, 6.0, "log", (7.4, 13.4))


def seeded() -> None:
    random.seed(3)
    np.random.seed(3)


def picture(kind: str = "uint16", side: int = 64, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 65536, (side, side, 3))
    return values.astype(np.uint16) if kind == "uint16" else (values / 65535 * 2).astype(np.float32)


def labels(image: np.ndarray) -> dict[str, Any]:
    boxes = np.array([[0.5, 0.5, 0.4, 0.4]], np.float32)
    return {
        "img": image, "cls": np.zeros((1, 1), np.float32), "im_file": "x", "ori_shape": image.shape[:2],
        "resized_shape": image.shape[:2], "instances": Instances(boxes, bbox_format="xywh", normalized=True),
    }  # fmt: skip


def source(images: list[np.ndarray]) -> Any:
    """What mix transforms ask of a dataset."""

    class Source:
        cache, buffer = None, range(len(images))

        def __len__(self) -> int:
            return len(images)

        def get_image_and_label(self, index: int) -> dict[str, Any]:
            return labels(images[index].copy())

    return Source()


@pytest.mark.parametrize(("pixels", "kind"), [(LINEAR, "uint16"), (FLOAT, "float32")])
def test_a_mosaic_moves_values_and_pads_in_the_range(pixels: PixelFormat, kind: str) -> None:
    images = [picture(kind, seed=seed) for seed in range(4)]
    plain = Mosaic(source(images), imgsz=64)
    seeded()
    out = for_format(plain, pixels)(labels(images[0].copy()))
    # The same layout, drawn again and pasted by hand.
    seeded()
    random.uniform(0, 1)  # whether to make a mosaic at all
    layout = plain.get_params(labels(images[0].copy()))["layout"]
    expected = np.full((128, 128, 3), pixels.padding, kind)
    for item in layout:
        x, y = item["x1a"], item["y1a"]
        part = item["labels_patch"]["img"][item["y1b"] : item["y2b"], item["x1b"] : item["x2b"]]
        expected[y : y + part.shape[0], x : x + part.shape[1]] = part
    assert out["img"].dtype == kind and np.array_equal(out["img"], expected)
    assert (expected == np.float32(pixels.padding)).any(), "some of the canvas is padding"
    assert len(out["instances"]) >= 1


def test_mixup_rounds_to_the_type() -> None:
    images = [picture(seed=seed) for seed in range(9)]
    seeded()
    out = for_format(MixUp(source(images), p=1.0), LINEAR)(labels(images[0].copy()))["img"]
    seeded()
    random.uniform(0, 1)
    other, ratio = images[random.randint(0, 8)], np.random.beta(32.0, 32.0)
    assert other is not images[0], "it is mixed with another image"
    assert out.dtype == np.uint16 and np.array_equal(out, np.rint(images[0] * ratio + other * (1 - ratio)))
    values = [picture("float32", seed=1), picture("float32", seed=2)]
    assert for_format(MixUp(source(values), p=1.0), FLOAT)(labels(values[0].copy()))["img"].dtype == np.float32


@pytest.mark.parametrize("perspective", [0.0, 0.0005])
@pytest.mark.parametrize(("pixels", "kind"), [(LINEAR, "uint16"), (FLOAT, "float32")])
def test_a_warp_has_borders_in_the_range_and_the_same_geometry(
    perspective: float, pixels: PixelFormat, kind: str
) -> None:
    plain = RandomPerspective(degrees=20, translate=0.3, scale=0.5, perspective=perspective)
    flat = np.full((64, 64, 3), pixels.high, kind)
    seeded()
    ours = for_format(plain, pixels)(labels(flat))
    seeded()
    theirs = plain(labels(np.full((64, 64, 3), 255, np.uint8)))
    assert ours["img"].dtype == kind
    outside = cv2.erode((theirs["img"] == 114).astype(np.uint8), np.ones((5, 5))) > 0  # away from blended edges
    assert outside.any() and np.all(ours["img"][outside] == np.float32(pixels.padding))
    inside = theirs["img"] == 255
    assert inside.any() and ours["img"][inside] == pytest.approx(pixels.high, rel=0.01)
    assert np.array_equal(ours["instances"].bboxes, theirs["instances"].bboxes)


def test_a_letterbox_pads_in_the_range() -> None:
    wide = picture()[:32]
    out = for_format(LetterBox((64, 64)), LINEAR)(labels(wide.copy()))["img"]
    assert out.dtype == np.uint16 and np.array_equal(out[16:48], wide)
    assert np.all(out[:16] == 29298) and np.all(out[48:] == 29298)


def test_a_flip_keeps_every_value() -> None:
    image = picture()
    out = for_format(RandomFlip(p=1.0, direction="horizontal"), LINEAR)(labels(image.copy()))["img"]
    assert np.array_equal(out, image[:, ::-1])


def test_a_composition_keeps_its_order_and_drops_what_is_for_eight_bits() -> None:
    parts = Compose([LetterBox(), Albumentations(p=1.0), RandomHSV(0.1, 0.2, 0.3), RandomFlip()])
    made = for_format(parts, LINEAR).transforms
    assert [type(part).__name__ for part in made] == ["LetterBox", "Brightness", "RandomFlip"]
    assert made[1].gain == 0.3
    assert isinstance(parts.transforms[2], RandomHSV), "the transforms given are not changed"


def test_a_transform_nobody_looked_at_is_refused() -> None:
    with pytest.raises(TypeError, match="SimpleNamespace is not known to keep more than 8 bits"):
        for_format(SimpleNamespace(), LINEAR)


def test_brightness_draws_what_ultralytics_draws_for_value() -> None:
    """The same gain at the same place of the same stream of chance."""
    seeded()
    RandomHSV(0.0, 0.0, 0.4)(labels(np.zeros((4, 4, 3), np.uint8)))
    after = np.random.get_state()[1:3]
    seeded()
    out = Brightness(0.4, LINEAR)(labels(np.full((4, 4, 3), 20000, np.uint16)))["img"]
    assert np.array_equal(np.random.get_state()[1], after[0]) and np.random.get_state()[2] == after[1]
    seeded()
    factor = 1 + np.random.uniform(-1, 1, 3)[2] * 0.4
    assert np.all(out == round(20000 * factor)) and factor != pytest.approx(1, abs=0.02)


def test_no_gain_changes_nothing_and_draws_nothing() -> None:
    seeded()
    before = np.random.get_state()[2]
    image = picture()
    assert Brightness(0.0, LINEAR)(labels(image))["img"] is image and np.random.get_state()[2] == before


@given(st.floats(0.2, 3.0), st.integers(0, 65535))
def test_a_gain_is_a_factor_on_linear_values(factor: float, value: int) -> None:
    image = np.full((1, 1, 3), value, np.uint16)
    assert np.all(brightened(image, factor, LINEAR) == np.rint(min(value * factor, 65535)))
    image = np.full((1, 1, 3), value / 65535, np.float32)
    assert brightened(image, factor, FLOAT) == pytest.approx(min(value / 65535 * factor, 2), rel=1e-6)


@given(st.floats(0.2, 3.0), st.integers(1, 65535))
def test_a_gain_is_an_offset_on_logarithms(factor: float, value: int) -> None:
    """Of the light that a code stands for: decoded, multiplied, encoded."""
    light = np.exp(7.4 + 6 * value / 65535) * factor
    expected = np.clip((np.log(light) - 7.4) / 6 * 65535, 1, 65535)
    out = brightened(np.full((1, 1, 3), value, np.uint16), factor, LOG)
    assert np.abs(out - expected).max() <= 0.501
    out = brightened(np.full((1, 1, 3), value / 65535 * 6, np.float32), factor, FLOAT_LOG)
    assert out == pytest.approx(np.clip(np.log(light) - 7.4, 6 / 65535, 6), abs=1e-5)


@given(st.floats(0.5, 2.0), st.integers(1, 65535))
def test_a_gain_and_its_inverse_lead_back_within_rounding(factor: float, value: int) -> None:
    image = np.full((1, 1, 3), value, np.uint16)
    there = brightened(image, factor, LOG)
    if there.min() > 1 and there.max() < 65535:  # away from the clips
        back = brightened(there, 1 / factor, LOG)
        assert np.abs(back.astype(int) - value).max() <= 1


@given(st.floats(0.01, 3.0))
def test_zero_stays_zero_and_darkness_never_becomes_no_signal(factor: float) -> None:
    for pixels in (LINEAR, LOG):
        assert not brightened(np.zeros((1, 1, 3), np.uint16), factor, pixels).any()
    for pixels in (FLOAT, FLOAT_LOG):
        assert not brightened(np.zeros((1, 1, 3), np.float32), factor, pixels).any()
    assert brightened(np.ones((1, 1, 3), np.uint16), factor, LOG).min() >= 1


def test_the_lower_end_of_a_range_is_the_black_that_stays() -> None:
    pixels = PixelFormat("uint16", 256.0, 4095.0, "linear")
    image = np.array([[[256, 1256, 4000]]], np.uint16)
    assert brightened(image, 2.0, pixels).tolist() == [[[256, 2256, 4095]]]
    assert brightened(image, 0.5, pixels).tolist() == [[[256, 756, 2128]]]


def test_opencv_pads_uint16_beyond_255() -> None:
    """LetterBox hands its padding to OpenCV as it is."""
    out = cv2.copyMakeBorder(np.zeros((2, 2, 3), np.uint16), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(29298,) * 3)
    assert out[0, 0].tolist() == [29298] * 3


@pytest.mark.parametrize(("pixels", "dark"), [(LOG, np.uint16(40)), (FLOAT_LOG, np.float32(0.003))])
def test_darkening_logarithms_leaves_a_trace_of_light(pixels: PixelFormat, dark: np.generic) -> None:
    out = brightened(np.full((1, 1, 3), dark), 0.2, pixels)
    assert (out > pixels.low).all() and (out <= dark).all()


@pytest.mark.parametrize("pixels", [LINEAR, LOG, FLOAT, FLOAT_LOG])
def test_brightness_is_the_same_however_the_image_lies_in_memory(pixels: PixelFormat) -> None:
    values = np.clip(picture(pixels.kind, seed=5), pixels.low, pixels.high).astype(pixels.kind)
    before = values.copy()
    whole = brightened(values, 1.3, pixels)
    planes = np.ascontiguousarray(values.transpose(2, 0, 1)[::-1])
    planar = brightened(planes[::-1].transpose(1, 2, 0), 1.3, pixels)
    assert np.array_equal(whole, planar) and planar.transpose(2, 0, 1)[::-1].flags["C_CONTIGUOUS"]
    assert np.array_equal(whole[:, ::-1], brightened(values[:, ::-1], 1.3, pixels))
    assert np.array_equal(values, before) and not np.array_equal(whole, values)


@pytest.mark.parametrize("factor", [0.0, 0.7, 1.0, 1.4])
def test_brightness_of_floats_is_float32_arithmetic(factor: float) -> None:
    values = np.clip(picture("float32", seed=5), 0, 2)
    assert np.array_equal(brightened(values, factor, FLOAT), np.clip(values * np.float32(factor), 0, 2))
    shift, least = np.float32(np.log(max(factor, 1e-6))), np.float32(6 / 65535)
    values[:2] = 0
    moved = np.clip(np.where(values <= 0, np.float32(0), np.maximum(values + shift, least)), 0, 6)
    assert np.array_equal(brightened(values, factor, FLOAT_LOG), moved)
