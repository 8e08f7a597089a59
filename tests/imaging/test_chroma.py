from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline.errors import InputError
from frostline.imaging import (
    LOG_SPAN,
    chroma_image,
    encode_log,
    log_chromaticity,
    log_rgb,
    parse_isd,
    project,
    unit_isd,
)

ISD = (0.68, 0.58, 0.45)


def reference(linear: np.ndarray, isd: np.ndarray, anchor: float = 10.4) -> np.ndarray:
    """The definition, pixel by pixel in double precision."""
    out = np.zeros(linear.shape)
    for place in np.ndindex(linear.shape[:-1]):
        direction = np.asarray(isd[place] if np.ndim(isd) == 3 else isd, float)
        direction = direction / math.sqrt(sum(direction**2))
        log = np.array([math.log(value) if value > 0 else 0.0 for value in linear[place].tolist()]) - anchor
        kept = log - (log @ direction) * direction + anchor
        out[place] = [
            min(65535, round(math.exp(k))) if value > 0 else 0
            for k, value in zip(kept, linear[place].tolist(), strict=True)
        ]
    return out


def test_a_pixel_worked_by_hand():
    # Along (1, 1, 1) the projection takes the mean log away: what is left is the ratio to the geometric mean.
    pixel = np.array([[[8000, 1000, 125]]], np.uint16)
    scale = math.exp(10.4)
    assert scale == pytest.approx(32859.6, abs=0.1)
    expected = [65535, round(scale), round(scale / 8)]  # 8 e^10.4 is clipped
    assert log_chromaticity(pixel, (1, 1, 1))[0, 0].tolist() == expected
    assert log_chromaticity(pixel, (1, 1, 1), anchor=8.0)[0, 0, 0] == round(8 * math.exp(8.0))


def test_images_agree_with_the_definition_in_double_precision():
    linear = np.random.default_rng(0).integers(0, 65536, (24, 30, 3)).astype(np.uint16)
    linear[:4] = linear[:4] // 4000  # dark, with many zeros
    maps = np.random.default_rng(1).uniform(0.2, 1.0, (24, 30, 3))
    for isd in (np.array(ISD), maps):
        difference = log_chromaticity(linear, isd).astype(float) - reference(linear, isd)
        assert np.abs(difference).max() <= 1


positive = st.floats(0.2, 1.0)
logs = st.floats(1.0, 10.5)


@given(st.tuples(positive, positive, positive), st.tuples(logs, logs, logs), st.floats(0.05, 0.5))
def test_moving_a_pixel_along_the_isd_changes_nothing(isd, pixel, step):
    start = np.array(pixel)
    moved = start + step * np.array(isd) / np.linalg.norm(isd)
    before, after = (log_chromaticity(np.exp(log)[np.newaxis], isd).astype(float) for log in (start, moved))
    assert np.abs(before - after).max() <= 1
    exact = [np.exp(project(log[np.newaxis].astype(np.float32), isd)) for log in (start, moved)]
    inside = np.minimum(exact[0], exact[1]) < 65535
    assert np.abs(exact[0] - exact[1])[inside].max(initial=0) < 1


vectors = st.tuples(positive, positive, positive)


@given(st.lists(st.tuples(vectors, st.tuples(logs, logs, logs), st.floats(-2.0, 2.0)), min_size=1, max_size=12))
def test_moving_each_pixel_along_its_own_direction_of_a_map_changes_nothing(places):
    isd, start, step = (np.array(part)[np.newaxis] for part in zip(*places, strict=True))
    moved = start + step[..., np.newaxis] * isd / np.linalg.norm(isd, axis=-1, keepdims=True)
    before, after = (np.exp(project(log.astype(np.float32), isd)).astype(float) for log in (start, moved))
    inside = np.minimum(before, after) < 65535
    assert np.abs(before - after)[inside].max(initial=0) < 1
    codes = [encode_log(project(log.astype(np.float32), isd)).astype(int) for log in (start, moved)]
    assert np.abs(codes[0] - codes[1]).max() <= 1


@settings(deadline=None)  # the first call compiles
@given(st.tuples(positive, positive, positive), st.lists(st.integers(0, 65535), min_size=3, max_size=3))
def test_zero_stays_zero_and_nothing_else_becomes_the_code_for_it(isd, pixel):
    linear = np.array([[pixel]], np.uint16)
    for bits in (16, 8):
        assert np.array_equal(chroma_image(linear, isd, encode="log", bits=bits) == 0, linear == 0)
        assert not chroma_image(linear, isd, bits=bits)[linear == 0].any()


def test_a_pixel_with_one_dark_channel_does_not_jump():
    dark = np.array([[[0, 500, 900], [1, 500, 900]]], np.uint16)
    result = log_chromaticity(dark, ISD)
    assert np.array_equal(result[0, 0, 1:], result[0, 1, 1:])
    assert result[0, 0, 0] == 0


def test_log_codes_are_equal_steps_of_the_log_over_the_documented_range():
    logs = np.array([10.4 - LOG_SPAN, 10.4, 10.4 + LOG_SPAN, 0.0, 20.0], np.float32)
    assert encode_log(logs, bits=16).tolist() == [1, 32768, 65535, 1, 65535]
    assert encode_log(logs, bits=8).tolist() == [1, 128, 255, 1, 255]
    values = np.linspace(8, 12, 50, dtype=np.float32)
    back = (encode_log(values).astype(float) - 1) / 65534 * 2 * LOG_SPAN + 10.4 - LOG_SPAN
    assert np.abs(back - values).max() < 1e-4
    assert encode_log(values, zero=values > 11)[values > 11].max() == 0


def test_eight_bits_of_the_log_form_keep_what_those_of_the_linear_form_lose():
    dark = np.exp(np.linspace(10.4 - LOG_SPAN, 10.4 - LOG_SPAN + 0.5, 60))
    linear = np.stack([dark, np.full(60, 30000.0), np.full(60, 30000.0)], axis=1)
    isd = (1e-6, 1.0, 1.0)
    kept = {form: len(np.unique(chroma_image(linear, isd, encode=form, bits=8)[:, 0])) for form in ("linear", "log")}
    assert kept["log"] > 4 * kept["linear"]


def test_float_and_integer_images_give_the_same():
    linear = np.random.default_rng(2).integers(0, 65536, (5, 6, 3)).astype(np.uint16)
    linear[0] = np.arange(18).reshape(6, 3) // 4
    assert np.array_equal(log_chromaticity(linear, ISD), log_chromaticity(linear.astype(np.float64), ISD))


@pytest.mark.parametrize(
    ("isd", "said"),
    [
        ((0.7, 0.0, 0.7), "above zero"),
        ((0.7, -0.1, 0.7), "above zero"),
        ((0.7, float("nan"), 0.7), "above zero"),
        ((1, 2), "expected three numbers"),
        ("red", "not three numbers"),
        (np.where(np.arange(12).reshape(2, 2, 3) < 3, 0.0, 1.0), "1 bad pixels of 4"),
    ],
)
def test_a_direction_that_cannot_be_one_is_refused(isd, said):
    with pytest.raises(InputError, match=said):
        unit_isd(isd)


@pytest.mark.parametrize(
    ("linear", "said"),
    [
        (np.zeros((2, 2), np.uint16), "three channels"),
        (np.zeros((2, 2, 3), np.int64), "expected uint16"),
        (np.full((2, 2, 3), -1.0), "without NaN"),
        (np.full((2, 2, 3), np.nan), "without NaN"),
    ],
)
def test_what_is_not_linear_rgb_is_refused(linear, said):
    with pytest.raises(InputError, match=said):
        log_rgb(linear)


def test_a_map_of_another_size_and_a_wild_anchor_are_refused():
    linear = np.ones((2, 3, 3), np.uint16)
    with pytest.raises(InputError, match="map is 3 x 4 but the image is 3 x 2"):
        log_chromaticity(linear, np.ones((4, 3, 3)))
    for anchor in (float("nan"), 100.0, -50.0, 0.0):
        with pytest.raises(InputError, match="anchor must be a natural logarithm"):
            log_chromaticity(linear, ISD, anchor=anchor)


def test_a_direction_is_read_from_numbers_or_a_file(tmp_path: Path):
    file = tmp_path / "isd.json"
    file.write_text(json.dumps({"isd": [2, 2, 1], "images": {"a": [1, 2, 2]}}))
    table = parse_isd(str(file))
    assert table.of(Path("images/train/a.png")) == pytest.approx((1 / 3, 2 / 3, 2 / 3))
    assert table.of(Path("b.png")) == pytest.approx((2 / 3, 2 / 3, 1 / 3))
    assert parse_isd(" 2, 2,1").mean == table.mean
    file.write_text("{}")
    for text in (str(file), "1;2;3", "missing.json"):
        with pytest.raises(InputError):
            parse_isd(text)
