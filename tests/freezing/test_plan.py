from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline import FreezePlan, InputError, Stage


def test_constructors_say_what_they_freeze() -> None:
    assert FreezePlan.none().stages == (Stage(),) and not FreezePlan.none().freezes
    assert FreezePlan.first(3).stages[0].freeze == "0-2"
    assert FreezePlan.first(0) == FreezePlan.none()
    assert FreezePlan.train_first(6).stages[0].train_only == "0-5"
    assert FreezePlan.select("backbone").stages[0].selector == "freeze backbone"


def test_two_stages_freeze_then_thaw() -> None:
    one, two = FreezePlan.two_stage(freeze="0-2").stages
    assert (one.epochs, one.freeze, one.lr0) == (50, "0-2", 0.005)
    assert (two.epochs, two.freezes, two.lr0, two.cos_lr) == (250, False, 0.01, True)


@pytest.mark.parametrize(
    ("plan", "depth"),
    [
        (FreezePlan.none(), 0),
        (FreezePlan.first(1), 1),
        (FreezePlan.first(6), 6),
        (FreezePlan.select("0"), 1),
        (FreezePlan.select("1-3"), None),
        (FreezePlan.select("0,1"), None),
        (FreezePlan.select("backbone"), None),
        (FreezePlan.train_first(6), None),
        (FreezePlan.two_stage(freeze="0-2"), None),
    ],
)
def test_only_a_plain_freeze_of_the_first_layers_has_a_depth(plan: FreezePlan, depth: int | None) -> None:
    assert plan.freeze_depth == depth


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"freze": "0-2"}, "unknown key 'freze', did you mean 'freeze'"),
        ({"freeze": 3}, "3 could mean layer 3 or the first 3"),
        ({"freeze": "0-2", "train_only": "3"}, "freeze or train_only, not both"),
        ({"freeze": "0-2", "stages": []}, "stages or freeze, not both"),
        ({"stages": []}, "stages"),
        ({"stages": [{"epochs": 1}, {"freeze": "0"}]}, "stage 2 of 2 has no epochs"),
        ({"stages": [{"epochs": 0}]}, "stages.1.epochs: expected a number above 0"),
        ({"lr0": -1}, "plan: lr0: expected a number above 0"),
        ({"freeze": "0-x"}, "plan: freeze: selector '0-x'"),
        ({"train_only": "none"}, "leaves nothing trainable"),
        ([1], "expected keys"),
    ],
)
def test_a_bad_plan_is_one_clear_line(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        FreezePlan.parse(value, "plan")
    assert "\n" not in str(error.value)


def test_negative_counts_are_errors() -> None:
    for wrong in (lambda: FreezePlan.first(-1), lambda: FreezePlan.train_first(-1), lambda: FreezePlan.train_first(0)):
        with pytest.raises(InputError):
            wrong()


def test_a_plan_file_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("stages:\n  - {epochs: 5, freeze: 0-2, lr0: 0.005}\n  - {epochs: 10, cos_lr: true}\n")
    plan = FreezePlan.from_yaml(path)
    assert plan.total_epochs == 15 and plan.stages[0].freeze == "0-2"
    assert FreezePlan.parse(plan.to_dict()) == plan


def test_a_missing_or_broken_plan_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.yaml: cannot read the plan file: No such file"):
        FreezePlan.from_yaml(tmp_path / "nothing.yaml")
    (tmp_path / "broken.yaml").write_text("stages: [")
    with pytest.raises(InputError, match=r"broken.yaml: not YAML"):
        FreezePlan.from_yaml(tmp_path / "broken.yaml")


stages = st.builds(
    Stage,
    epochs=st.integers(1, 500),
    freeze=st.sampled_from([None, "0-2", "backbone", "1,3", "23.cv3"]),
    lr0=st.none() | st.floats(1e-5, 1),
    cos_lr=st.none() | st.booleans(),
)


@given(st.lists(stages, min_size=1, max_size=4), st.booleans())
def test_any_plan_survives_being_written_and_read(found: list[Stage], fresh: bool) -> None:
    plan = FreezePlan(stages=tuple(found), freeze_fresh=fresh)
    assert FreezePlan.parse(plan.to_dict()) == plan
    assert plan.total_epochs == sum(stage.epochs or 0 for stage in found)


def test_leading_layers_can_be_counted_in_any_stage() -> None:
    assert FreezePlan.parse({"freeze_first": 3}) == FreezePlan.first(3)
    assert FreezePlan.parse({"freeze_first": 0}) == FreezePlan.none()
    assert FreezePlan.parse({"train_first": 6}) == FreezePlan.train_first(6)
    two = FreezePlan.parse({"stages": [{"epochs": 1, "freeze_first": 2}, {"epochs": 2}]})
    assert two.stages[0].freeze == "0-1" and "freeze_first" not in str(two.to_dict())


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"freeze_first": -1}, "freeze_first: expected a whole number of layers of at least 0, got -1$"),
        ({"freeze_first": True}, "freeze_first: expected a whole number of layers of at least 0, got True$"),
        ({"train_first": 0}, "train_first: 0 leaves nothing trainable$"),
        ({"freeze_first": 1, "freeze": "0"}, "give freeze_first or freeze, not both$"),
        ({"freeze_first": 1, "train_first": 1}, "give freeze_first or train_first, not both$"),
        ({"freeze_first": 1, "stages": [{}]}, "give stages or freeze_first, not both$"),
    ],
)
def test_a_wrong_count_of_layers_is_told(plan: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FreezePlan.parse(plan)
