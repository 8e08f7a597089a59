from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from frostline.analysis import (
    Estimate,
    area_under_curve,
    equivalence,
    holm,
    needed,
    power,
    seed_difference,
    seed_mean,
    verdict,
)
from frostline.analysis.bootstrap import Spread
from frostline.analysis.inference import cautions
from frostline.errors import InputError

SURE = Estimate(0.02, 0.01, 0.03, 0.95, "percentile", 0.004, 0.003, 811, 5, 0.002, ())


def test_holm_of_a_case_worked_by_hand() -> None:
    # Sorted: 0.01 x 4, 0.015 x 3, 0.03 x 2, 0.04 x 1; each at least the one before.
    adjusted = holm({"a": 0.03, "b": 0.01, "c": 0.04, "d": 0.015})
    assert adjusted == {
        "a": pytest.approx(0.06),
        "b": pytest.approx(0.04),
        "c": pytest.approx(0.06),
        "d": pytest.approx(0.045),
    }
    assert list(adjusted) == ["a", "b", "c", "d"]
    some = holm({"a": 0.6, "b": math.nan, "c": 0.02})
    assert some["c"] == pytest.approx(0.04) and some["a"] == pytest.approx(0.6) and math.isnan(some["b"])
    assert holm({"a": 0.7, "b": 0.8})["b"] == 1.0


def test_a_hypothesis_is_supported_refuted_or_undecided() -> None:
    assert verdict(SURE) == "supported"
    assert verdict(SURE, at_least=0.02) == "undecided"
    assert verdict(SURE, at_least=0.04) == "refuted"
    assert verdict(SURE, higher_is_better=False) == "refuted"
    assert verdict(replace(SURE, low=-0.03, high=-0.01), higher_is_better=False) == "supported"
    assert verdict(replace(SURE, low=-0.01)) == "undecided"
    assert verdict(replace(SURE, low=math.nan, high=math.nan)) == "undecided"


def test_two_one_sided_tests_use_the_90_percent_interval() -> None:
    draws = stats.norm.ppf(np.linspace(0.0005, 0.9995, 1000)) * 0.0055
    found = equivalence(Spread(0.0, draws, 0.0055, None, 0.0))
    # 1.645 x 0.0055 = 0.0090 is within a point, though 1.96 x 0.0055 = 0.0108 is not.
    assert found.equivalent and found.high == pytest.approx(1.645 * 0.0055, rel=0.01)
    assert not equivalence(Spread(0.0, draws, 0.0055, None, 0.0), level=0.025).equivalent
    with pytest.raises(InputError, match="margin"):
        equivalence(Spread(0.0, draws, 0.0, None, 0.0), margin=0.0)


def test_means_over_seeds_have_students_interval() -> None:
    found = seed_mean([4.0, None, 6.0, 5.0, math.nan])
    assert found.seeds == 3 and found.value == 5.0
    assert found.high == pytest.approx(5 + 4.302653 / math.sqrt(3), abs=1e-5)
    assert seed_mean([2.0]).low is None and seed_mean([]).value is None
    paired = seed_difference({0: 5.0, 1: 7.0, 2: 9.0}, {1: 6.0, 2: 8.0, 3: 1.0})
    assert (paired.value, paired.low, paired.high, paired.seeds) == (1.0, 1.0, 1.0, 2)


def test_power_is_that_of_the_t_test() -> None:
    # A textbook value: effect of one standard deviation, n = 10, one sample, two-sided 5 %: 0.803.
    assert power(1.0, 0.0, 1 / math.sqrt(10), 10) == pytest.approx(0.803, abs=0.001)
    assert power(2.8016, 1.0, 0.0, 5) == pytest.approx(0.8, abs=1e-3)  # 1.9600 + 0.8416 normal errors
    assert power(0.0, 1.0, 0.5, 5) == pytest.approx(0.05, abs=1e-6)


def test_what_would_be_needed_has_the_power_and_one_less_has_not() -> None:
    found = needed(0.003, 0.004, images=811, seeds=5)
    assert found.now is not None and found.now < 0.8
    assert found.seeds is not None and found.images is None  # five seeds' own spread is too wide for any images
    one_seed = 0.004 * math.sqrt(5)
    assert power(0.01, 0.003, one_seed / math.sqrt(found.seeds), found.seeds) >= 0.8
    assert power(0.01, 0.003, one_seed / math.sqrt(found.seeds - 1), found.seeds - 1) < 0.8
    images = needed(0.006, 0.001, images=811, seeds=5).images
    assert images is not None and images > 811
    assert needed(0.006, 0.001, images=811, seeds=5).seeds is None
    alone = needed(0.006, None, images=811, seeds=1)
    assert alone.seeds is None and alone.now is None and alone.images == pytest.approx(811 * 0.36 * 7.849, rel=0.01)
    with pytest.raises(InputError):
        needed(0.003, 0.004, images=811, seeds=5, effect=0.0)


def test_cautions_name_what_is_too_few() -> None:
    assert cautions(811, [5, 5], 1000, 1000) == ()
    few = cautions(20, [2, 5], 1000, 990)
    assert len(few) == 3 and "20 validation images" in few[0] and "2 seeds" in few[1] and "10 of 1000" in few[2]


def test_area_under_a_curve_is_its_mean_height() -> None:
    assert area_under_curve([0.0, 1.0]) == 0.5
    assert area_under_curve([0.0, None, 1.0, 1.0]) == pytest.approx(2 / 3)
    assert area_under_curve([0.4]) == 0.4 and area_under_curve([None]) is None
