from __future__ import annotations

import pytest
from probe_gradients import made

from frostline.freezing import FreezePlan
from frostline.probing.depths import DepthCost
from frostline.probing.drift import LayerDrift
from frostline.probing.recommend import Recommendation, recommend
from frostline.probing.regions import rank_regions
from frostline.probing.result import ProbedLayer

DEPTHS = (0, 1, 2, 3)


def found(ratios: dict[int, float], shift: float = 0.1, saving: float = 0.2) -> Recommendation:
    """Recommend for three layers of a backbone and a head, each depth saving as much more."""
    gradients = made(ratios, size=400)
    drift = LayerDrift(8, shift, 0.1, 0.1)
    layers = [ProbedLayer(i, "Conv", "backbone", 10, None, drift, None) for i in range(3)]
    layers.append(ProbedLayer(3, "Detect", "head", 10))
    regions = {"first": (0,), "backbone": (0, 1, 2), "head": (3,)}
    costs = [DepthCost(d, 1 - saving * d, 1000 - int(1000 * saving * d), 40 - 10 * d) for d in DEPTHS]
    return recommend(layers, costs, rank_regions(gradients, regions, resamples=50), gradients)


def test_without_signal_in_the_backbone_it_is_frozen_and_the_head_trained() -> None:
    told = found({0: 0.1, 1: 0.1, 2: 0.1, 3: 5.0})
    assert told.depth == 3 and told.confidence == "high"
    assert list(told.arms) == ["baseline", "freeze_1_to_1", "freeze_1_to_3", "head_only"]
    assert told.left_out["freeze_1_to_2"] == "between two depths that are run"
    for plan in told.arms.values():
        FreezePlan.parse(plan)


def test_signal_in_the_first_layer_leaves_nothing_to_freeze() -> None:
    told = found({0: 8.0, 1: 4.0, 2: 4.0, 3: 2.0})
    assert told.depth == 0 and list(told.arms) == ["baseline", "backbone_only"]
    assert "more signal than noise" in told.left_out["freeze_1_to_1"]
    assert told.left_out["freeze_1_to_3"] == "a shallower depth already must train"


def test_signal_further_up_stops_the_line_before_it() -> None:
    told = found({0: 0.1, 1: 30.0, 2: 4.0, 3: 2.0})
    assert told.depth == 1 and "freeze_1_to_1" in told.arms and "freeze_1_to_2" in told.left_out


def test_drift_stops_the_line_where_signal_does_not() -> None:
    told = found({0: 0.1, 1: 0.1, 2: 0.1, 3: 5.0}, shift=0.7)
    assert told.depth == 0 and "drifted by 0.7" in told.left_out["freeze_1_to_1"]


def test_a_depth_that_saves_little_is_no_arm() -> None:
    told = found({0: 0.1, 1: 0.1, 2: 0.1, 3: 5.0}, saving=0.04)
    assert told.depth == 3 and "freeze_1_to_2" not in told.arms and "freeze_1_to_3" in told.arms
    assert told.left_out["freeze_1_to_1"].startswith("it saves 4%")


def test_no_signal_anywhere_is_a_low_confidence_and_said() -> None:
    told = found({0: 0.1, 1: 0.1, 2: 0.1, 3: 0.2})
    assert told.confidence == "low" and "no part has more signal than noise" in told.sentences[0]


@pytest.mark.parametrize("ratios", [{0: 0.1, 1: 0.1, 2: 0.1, 3: 5.0}, {0: 8.0, 1: 4.0, 2: 4.0, 3: 2.0}])
def test_three_sentences_name_every_arm(ratios: dict[int, float]) -> None:
    told = found(ratios)
    assert len(told.sentences) == 3 and all(sentence.endswith(".") for sentence in told.sentences)
    assert all(name in told.sentences[0] for name in told.arms)
    assert all(name in told.sentences[1] for name in told.left_out)
    assert told.confidence in told.sentences[2]
