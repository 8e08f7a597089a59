from __future__ import annotations

import numpy as np
import pytest

from frostline.errors import InputError
from frostline.imaging import linear_to_srgb, srgb_to_linear


def test_srgb_decodes_to_the_values_of_the_standard():
    # Worked by hand from IEC 61966-2-1: 10 lies on the straight part, 128 and 255 on the power.
    codes = np.array([0, 10, 128, 255], np.uint8)
    by_hand = [0, 10 / 255 / 12.92 * 65535, ((128 / 255 + 0.055) / 1.055) ** 2.4 * 65535, 65535]
    assert srgb_to_linear(codes).tolist() == [round(value) for value in by_hand]
    assert srgb_to_linear(codes).dtype == np.uint16
    np.testing.assert_allclose(srgb_to_linear(codes / 255), by_hand, rtol=1e-6)
    assert round(by_hand[2]) == 14146


def test_all_eight_bit_values_survive_the_way_to_linear_and_back():
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(linear_to_srgb(srgb_to_linear(codes)), codes)


def test_sixteen_bits_come_back_within_the_dark_end_s_steps():
    codes = np.arange(0, 65536, 7, dtype=np.uint16)
    back = linear_to_srgb(srgb_to_linear(codes), bits=16).astype(int)
    assert np.abs(back - codes).max() <= 13 // 2 + 1  # a linear step is 12.92 sRGB steps wide in the dark
    assert np.array_equal(linear_to_srgb(np.array([0.0, 65535.0, 70000.0])), [0, 255, 255])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.array([1, 2]), "expected uint8, uint16 or float"),
        (np.array([0.5, 2.0]), r"\[0, 1\]"),
        (np.array([0.5, np.nan]), r"\[0, 1\]"),
    ],
)
def test_what_is_not_srgb_is_refused(bad: np.ndarray, said: str):
    with pytest.raises(InputError, match=said):
        srgb_to_linear(bad)
