from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline import InputError, Study
from frostline.studies import StudyFile
from frostline.studies.file import read_plans
from frostline.training.spec import is_folder_name

BASE: dict[str, Any] = {"model": "m.pt", "data": "d.yaml", "train": {"epochs": 6}}


def study(arms: dict[str, Any], **more: Any) -> StudyFile:
    return StudyFile.parse({**BASE, **more, "arms": arms})


def test_a_list_of_depths_names_its_arms_as_an_ablation_does() -> None:
    found = study({"baseline": None, "depth": {"freeze_first": [3, 4, 5, 6]}, "only": {"train_first": [1, 6]}})
    assert list(found.arms) == [
        "baseline", "freeze_1_to_3", "freeze_1_to_4", "freeze_1_to_5", "freeze_1_to_6", "first_1_only", "first_6_only",
    ]  # fmt: skip
    assert [arm.plan.freeze_depth for arm in found.arms.values()] == [0, 3, 4, 5, 6, None, None]
    assert list(study({"depth": {"freeze_first": [0, 2]}}).arms) == ["baseline", "freeze_1_to_2"]


def test_several_lists_make_every_combination() -> None:
    found = study({"depth": {"freeze_first": [3, 4, 5, 6], "lr0": [0.01, 0.001]}})
    assert len(found.arms) == 8
    assert list(found.arms)[:3] == [
        "depth_freeze_first_3_lr0_0.01", "depth_freeze_first_3_lr0_0.001", "depth_freeze_first_4_lr0_0.01",
    ]  # fmt: skip
    stage = found.arms["depth_freeze_first_5_lr0_0.001"].plan.stages[0]
    assert (stage.freeze, stage.lr0, stage.epochs) == ("0-4", 0.001, 6)


@settings(max_examples=60, deadline=None)
@given(
    depths=st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    rates=st.lists(st.sampled_from([0.1, 0.01, 0.001, 1e-05]), min_size=1, max_size=3, unique=True),
    every=st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True),
    models=st.lists(st.sampled_from(["a/n.pt", "b/s.pt", "m.yaml"]), min_size=1, max_size=3, unique=True),
    shared=st.lists(st.sampled_from([1, 2.5]), max_size=2, unique=True),
)
def test_there_are_as_many_arms_as_combinations_and_the_file_reads_back(
    depths: list[int], rates: list[float], every: list[int], models: list[str], shared: list[float]
) -> None:
    arms = {
        "depth": {"freeze_first": depths, "lr0": rates},
        "thaw": {"freeze": [0, 2], "unfreeze": {"every": every}},
    }
    train = {"epochs": 6, "warmup_epochs": shared} if shared else {"epochs": 6}
    found = study(arms, model=models, train=train)
    expected = (len(depths) * len(rates) + len(every)) * len(models) * max(len(shared), 1)
    assert len(found.arms) == expected and all(map(is_folder_name, found.arms))
    plans = {(str(arm.plan.to_dict()), arm.model) for arm in found.arms.values()}
    assert len(plans) == expected, "every arm is another"
    wanted = set(itertools.product(depths, rates, models))
    seen = {
        ((0 if s.freeze is None else int(s.freeze[2:]) + 1), s.lr0, Path(str(arm.model)).as_posix())
        for name, arm in found.arms.items() if name.startswith("depth") for s in arm.plan.stages
    }  # fmt: skip
    assert seen == wanted
    assert StudyFile.parse(yaml.safe_load(found.to_yaml())) == found


@pytest.mark.parametrize(
    ("arm", "names", "field"),
    [
        ({"freeze": "neck", "unfreeze": {"every": [2, 5]}}, ["a_every_2", "a_every_5"], "unfreeze"),
        ({"rates": {"decay": [0.9, 0.8]}}, ["a_decay_0.9", "a_decay_0.8"], "rates"),
        ({"rates": {"backbone": [0.1, 0], "head": 1}}, ["a_backbone_0.1", "a_backbone_0"], "rates"),
        ({"rates": ["auto", {"decay": 0.9}]}, ["a_rates_auto", "a_rates_decay_0.9"], "rates"),
        ({"adaptive": {"percentile": [40, 60]}}, ["a_percentile_40", "a_percentile_60"], "adaptive"),
        ({"adaptive": {"thaw": [None, 0.1]}}, ["a_thaw_none", "a_thaw_0.1"], "adaptive"),
        ({"sweep": {"freeze": ["0-2", "backbone,23.cv3"]}}, ["a_freeze_0-2", "a_freeze_backbone_23.cv3"], "freeze"),
        ({"sweep": {"unfreeze.every": [1, 3]}, "freeze": "neck"}, ["a_every_1", "a_every_3"], "unfreeze"),
        ({"cos_lr": [True, False]}, ["a_cos_lr_true", "a_cos_lr_false"], "cos_lr"),
        ({"freeze_first": 3, "lr0": [0.1]}, ["a_lr0_0.1"], "lr0"),
    ],
)
def test_any_plan_field_can_be_swept(arm: dict[str, Any], names: list[str], field: str) -> None:
    found = study({"a": arm}).arms
    assert list(found) == names
    assert len({str(getattr(one.plan.stages[0], field)) for one in found.values()}) == len(names)


def test_a_list_of_selectors_is_one_selector_still() -> None:
    arms = study({"a": {"freeze": [0, 2]}, "b": {"train_only": ["0-2", "head"]}}).arms
    assert arms["a"].plan.stages[0].freeze == "0,2" and arms["b"].plan.stages[0].train_only == "0-2,head"


def test_stages_sweep_inside_and_say_which_stage_where_they_must() -> None:
    two = {"stages": [{"epochs": 2, "freeze_first": [3, 4], "lr0": [0.1, 0.2]}, {"epochs": 4, "lr0": [0.3]}]}
    found = study({"two": two}).arms
    assert next(iter(found)) == "two_freeze_first_3_stage1_lr0_0.1_stage2_lr0_0.3" and len(found) == 4


def test_the_studys_models_multiply_the_arms_without_their_own() -> None:
    arms = {"baseline": {}, "f": {"freeze_first": 3}, "scratch": {"model": "y.yaml"}, "w": {"weights": "own.pt"}}
    found = study(arms, model=["n.yaml", "s.yaml"], weights="w.pt")
    assert list(found.arms) == ["baseline_n", "baseline_s", "f_n", "f_s", "scratch", "w_n", "w_s"]
    start = {run.spec.arm: (run.spec.model, run.spec.weights) for run in Study(found, "x").runs()}
    assert start["f_s"] == ("s.yaml", "w.pt") and start["scratch"] == ("y.yaml", None)
    assert start["w_n"] == ("n.yaml", "own.pt")


def test_datasets_are_told_apart_by_their_folder() -> None:
    found = study({"a": {"data": ["srgb/data.yaml", "log/data.yaml", "other.yaml"]}}).arms
    assert list(found) == ["a_data_srgb", "a_data_log", "a_data_other"]


def test_the_studys_rates_go_into_every_stage_without_its_own() -> None:
    arms = {"baseline": {}, "two": {"stages": [{"epochs": 2, "lr0": 0.5, "freeze_first": 2}, {"epochs": 4}]}}
    found = study(arms, train={"epochs": 6, "lr0": [0.1, 0.2]}).arms
    assert list(found) == ["baseline_lr0_0.1", "baseline_lr0_0.2", "two_lr0_0.1", "two_lr0_0.2"]
    assert [stage.lr0 for stage in found["two_lr0_0.2"].plan.stages] == [0.5, 0.2]


def test_a_teacher_of_the_study_can_be_swept_replaced_and_sent_away() -> None:
    arms = {"baseline": {"teacher": "none"}, "d": {}, "own": {"teacher": "o.pt"}}
    found = study(arms, teacher=["s.pt", "m.pt"])
    taught = {run.spec.arm: run.spec.teacher for run in Study(found, "x").runs()}
    assert taught == {"baseline": None, "d_teacher_s": "s.pt", "d_teacher_m": "m.pt", "own": "o.pt"}
    assert StudyFile.parse(yaml.safe_load(found.to_yaml())) == found
    one = Study(study(arms, teacher="s.pt"), "x")
    assert {run.spec.arm: run.spec.teacher for run in one.runs()} == {"baseline": None, "d": "s.pt", "own": "o.pt"}
    assert study({"a": {"teacher": "t.pt"}}, train={"dis": 2.0}).train["dis"] == 2.0
    with pytest.raises(InputError, match="dis: it weighs the distillation loss, and there is no teacher"):
        study({"a": {}}, train={"dis": 2.0})


@pytest.mark.parametrize(
    ("arms", "more", "message"),
    [
        ({"a": {"lr0": []}}, {}, "arm a: lr0: expected a list of values to sweep, got \\[\\]$"),
        ({"a": {"freeze_first": [3, 3]}}, {}, "two arms are called 'freeze_1_to_3', both from 'a'"),
        ({"a": {"freeze_first": [3]}, "freeze_1_to_3": {}}, {}, "'freeze_1_to_3', from 'a' and from 'freeze_1_to_3'"),
        ({"a": {"freeze_first": [-1]}}, {}, "freeze_first: expected a whole number of layers of at least 0, got -1$"),
        ({"a": {"frist": [3]}}, {}, "arm a: unknown key 'frist'"),
        ({"a": {"sweep": {"frist": [3]}}}, {}, "arm a: sweep: unknown key 'frist'"),
        ({"a": {"sweep": [3]}}, {}, "arm a: sweep: expected lists by key"),
        ({"a": {"sweep": {"freeze": "0-2"}}}, {}, "arm a: sweep: freeze: expected a list of values to sweep"),
        ({"a": {}}, {"sweep": {"model": ["a"]}}, "sweep: unknown key 'model'"),
        ({"a": {"lr0": 1.0}}, {"train": {"lr0": [0.1]}}, "arm a: has lr0 of its own, so the study's sweep"),
        (
            {"a": {"stages": [{"epochs": 1, "freeze": "0"}, {"epochs": 5}]}},
            {"sweep": {"freeze": ["0"]}},
            "arm a: has stages, so the study's sweep of freeze does not fit it",
        ),
        ({"a": {}}, {"train": {"momentum": [0.9, 0.8]}}, "train: momentum: arms share it, so it takes one value"),
        ({"a": {"model": "x"}}, {"model": ["m", "n"]}, "model: every arm has its own, so this list would not be used"),
        ({"a": {}}, {"model": ["a/m.pt", "b/m.pt"]}, "two arms are called 'a_m', both from 'a'"),
        ({"a": {}}, {"model": [1, 2]}, r"model: expected a path or a name, got \[1, 2\]$"),
        ({"a": {"epochs": [2, 3]}}, {}, r"arms differ in their epochs \(a_epochs_2 2, a_epochs_3 3\)"),
        (
            {"depth": {"freeze_first": [3, 4]}},
            {"hypotheses": [{"name": "h", "better": "depth", "than": "freeze_1_to_3"}]},
            "no arm 'depth'; there are freeze_1_to_3, freeze_1_to_4$",
        ),
    ],
)
def test_a_bad_sweep_is_one_clear_line(arms: dict[str, Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        study(arms, **more)
    assert "\n" not in str(error.value)


def test_a_study_may_sweep_a_selector_in_every_arm_that_has_none() -> None:
    found = study({"sgd": {}}, sweep={"freeze": ["0-2", "backbone"]})
    assert [arm.plan.stages[0].freeze for arm in found.arms.values()] == ["0-2", "backbone"]


def test_plans_are_read_with_their_sweeps_written_out(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**BASE, "arms": {"d": {"freeze_first": [1, 2]}}}))
    plans, epochs = read_plans(tmp_path / "s.yaml")
    assert list(plans) == ["freeze_1_to_1", "freeze_1_to_2"] and epochs == 6
    with pytest.raises(InputError, match="no arm 'd'; there are freeze_1_to_1, freeze_1_to_2"):
        read_plans(tmp_path / "s.yaml", "d")
