from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freezing.toy import Detector
from frostline import InputError
from frostline.freezing import FreezePlan
from frostline.freezing.bound import BoundStage
from frostline.freezing.frozen import EpochSignals

WEIGHTED = (0, 1, 3, 4)  # layer 2 of the toy has no weights


def bind(plan: FreezePlan, epochs: int, **more: object) -> BoundStage:
    return BoundStage(Detector(), plan.with_epochs(epochs).stages[0], **more)  # type: ignore[arg-type]


def trains(bound: BoundStage, epoch: int, signals: list[EpochSignals] | None = None) -> list[int]:
    return [index for index, rate in enumerate(bound.factors(epoch, signals or [])) if rate > 0 and index in WEIGHTED]


def test_gradual_unfreezing_thaws_from_the_head_down() -> None:
    bound = bind(FreezePlan.gradual(every=2, freeze="0-3"), 8)
    assert [trains(bound, epoch) for epoch in (0, 1, 2, 3, 4, 6, 7)] == [
        [4], [4], [3, 4], [3, 4], [1, 3, 4], [0, 1, 3, 4], [0, 1, 3, 4],
    ]  # fmt: skip
    assert [decision.thawed for decision in bound.decisions(8)] == [(3,), (1,), (0,)]


def test_gradual_unfreezing_from_the_input_up_and_by_role() -> None:
    assert trains(bind(FreezePlan.gradual(freeze="0-3", start="input"), 5), 1) == [0, 4]
    by_role = bind(FreezePlan.gradual(freeze="0-3", by="role"), 5)
    assert [trains(by_role, epoch) for epoch in range(3)] == [[4], [3, 4], [0, 1, 3, 4]]


def test_a_schedule_longer_than_the_run_is_refused() -> None:
    with pytest.raises(InputError, match=r"3 thaws, one every 2 epochs, need more than the stage's 6 epochs"):
        bind(FreezePlan.gradual(every=2, freeze="0-3"), 6)


def test_freezeout_follows_the_paper() -> None:
    bound = bind(FreezePlan.freezeout(first=0.5, cubed=False, scaled=True), 12)
    times = {0: 0.5, 1: 0.5 + 0.5 / 3, 3: 0.5 + 1 / 3, 4: 1.0}
    for epoch in range(12):
        for index, time in times.items():
            share = epoch / 12
            wanted = 0.0 if share >= time else 0.5 * (1 + math.cos(math.pi * share / time)) / time
            assert bound.factors(epoch)[index] == pytest.approx(wanted)
    assert trains(bound, 6) == [1, 3, 4]
    cubed = bind(FreezePlan.freezeout(first=0.5), 16)
    assert trains(cubed, 1) == list(WEIGHTED)
    assert trains(cubed, 2) == [1, 3, 4]  # 0.5 cubed is an eighth of 16 epochs
    assert bound.absolute


def test_rates_fall_from_the_head_over_layers_with_weights() -> None:
    assert bind(FreezePlan.layerwise({"decay": 0.5}), 3).factors(0) == (0.125, 0.25, 1.0, 0.5, 1.0)
    by_role = bind(FreezePlan.layerwise({"backbone": 0.1, "neck": 0.5, "head": 1.0}), 3)
    assert by_role.factors(2) == (0.1, 0.1, 0.5, 0.5, 1.0)


def test_a_rate_of_zero_freezes() -> None:
    bound = bind(FreezePlan.layerwise({"0-1": 0, "head": 2}), 3)
    assert trains(bound, 0) == [3, 4]
    assert {name.split(".")[0] for name in bound.freeze(0).frozen} == {"0", "1"}


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        ({"backbone": -1}, "expected at least 0"),
        ({"backbone": math.inf}, "expected a finite number"),
        ({"trunk": 1}, "cannot read 'trunk'"),
        ({"0-1": 1, "1": 2}, "layer 1 is in both '0-1' and '1'"),
        ({"all": 0}, "epoch 1 freezes everything"),
        ({"decay": 1.5}, "expected at most 1"),
    ],
)
def test_bad_rates(rates: dict[str, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        bind(FreezePlan.layerwise(rates), 3)


def test_auto_rgn_is_the_relative_gradient_norm_of_the_epoch_before() -> None:
    bound = bind(FreezePlan.layerwise("auto"), 3)
    assert bound.factors(0) == (1.0,) * 5
    signals = [EpochSignals({0: 2.0, 1: 1.0, 3: 4.0, 4: 3.0}, {0: 10.0, 1: 1.0, 3: 16.0, 4: 1.0})]
    assert bound.factors(1, signals) == pytest.approx((0.2 / 3, 1 / 3, 1.0, 0.25 / 3, 1.0))
    assert not bound.foreseeable


def norms(*values: float) -> EpochSignals:
    return EpochSignals(dict(zip(WEIGHTED, values, strict=True)), dict.fromkeys(WEIGHTED, 1.0))


def test_adaptive_freezes_settled_layers_front_to_back() -> None:
    bound = bind(FreezePlan.adaptive(percentile=50, patience=2), 9)
    # changes: layer 0 by 1 %, layer 1 by 50 %, layer 3 by 2 %, layer 4 by 90 % every epoch
    signals = [norms(1.01**e, 1.5**e, 1.02**e, 1.9**e) for e in range(5)]
    assert trains(bound, 2, signals) == list(WEIGHTED)  # one look is not enough
    assert trains(bound, 3, signals) == [1, 3, 4]  # layer 3 is as calm, but layer 1 stands before it
    assert trains(bound, 5, signals) == [1, 3, 4]
    first = bound.decisions(6, signals)[0]
    assert (first.epoch, first.frozen) == (3, (0,))
    assert "relative change of the gradient" in first.why


def test_adaptive_never_freezes_the_last_layer_and_stops_where_the_rest_would_freeze_at_once() -> None:
    with pytest.raises(InputError, match=r"percentile 99 with patience 1 freezes layers 0..1, 3 at the first look"):
        bind(FreezePlan.adaptive(percentile=99, patience=1), 9).factors(2, [norms(1, 1, 1, 1), norms(1, 1, 1, 2)])


def test_adaptive_thaws_when_the_learning_rate_has_dropped() -> None:
    bound = bind(FreezePlan.adaptive(percentile=50, patience=1, thaw=0.5), 9)
    lr = [1.0, 1.0, 0.9, 0.3, 0.3, 0.3]
    signals = [
        EpochSignals(norms(1.01**e, 1.5**e, 1.02**e, 1.9**e).gradients, dict.fromkeys(WEIGHTED, 1.0), lr=lr[e])
        for e in range(6)
    ]
    assert trains(bound, 2, signals) == [1, 3, 4]
    assert trains(bound, 4, signals) == list(WEIGHTED)
    assert [d.thawed for d in bound.decisions(6, signals) if d.thawed] == [(0,)]


@given(st.lists(st.tuples(*[st.floats(0, 10)] * 4), min_size=8, max_size=8), st.integers(1, 7))
def test_what_an_epoch_does_depends_on_the_epochs_before_alone(rows: list[tuple[float, ...]], epoch: int) -> None:
    bound = bind(FreezePlan.adaptive(percentile=40, patience=2), 8)
    signals = [norms(*row) for row in rows]
    assert bound.factors(epoch, signals) == bound.factors(epoch, signals[:epoch])


def test_fresh_tensors_stay_trainable_only_where_the_layer_never_trained() -> None:
    fresh = ["0.0.weight", "4.cls.weight"]
    late = bind(FreezePlan.freezeout(first=0.5, cubed=False), 12, fresh=fresh)
    assert "0.0.weight" in late.freeze(6).frozen  # it has trained for six epochs
    held = bind(FreezePlan.gradual(freeze="0-3", every=1), 5, fresh=fresh)
    assert held.freeze(0).kept_fresh == ("0.0.weight",)
    assert held.freeze(2).kept_fresh == ("0.0.weight",)


def test_a_module_frozen_by_name_stays_frozen_beside_a_schedule() -> None:
    plan = FreezePlan.parse({"freeze": "0-1,4.box", "unfreeze": {"every": 1}})
    bound = bind(plan, 4)
    assert any(name.startswith("4.box") for name in bound.freeze(3).frozen)
    assert trains(bound, 2) == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"unfreeze": {"every": 1}}, "unfreeze needs something to thaw"),
        ({"freezeout": {}, "adaptive": {}}, "give one of freezeout and adaptive"),
        ({"freezeout": {}, "cos_lr": True}, "freezeout has learning rates of its own"),
        ({"freeze": "0", "unfreeze": {"every": 0}}, "expected a number above 0"),
        ({"freeze": "0", "unfreeze": {"form": "head"}}, "form"),
        ({"adaptive": {"percentile": 100}}, "expected a number below 100"),
    ],
)
def test_bad_schedules(plan: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        FreezePlan.parse(plan)


def test_a_plan_survives_being_written() -> None:
    for plan in (
        FreezePlan.gradual(every=2, start="input"),
        FreezePlan.freezeout(),
        FreezePlan.adaptive(thaw=0.1),
        FreezePlan.layerwise({"backbone": 0.1}),
        FreezePlan.layerwise("auto"),
    ):
        assert FreezePlan.parse(plan.to_dict()) == plan
        assert plan.freeze_depth is None
