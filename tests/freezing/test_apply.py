from __future__ import annotations

import pytest
import torch
from torch import nn
from toy import Detector, step

from frostline import InputError, Stage
from frostline.freezing import apply_freeze, hold_batchnorms, put_batchnorms_in_eval, resolve_freeze


def test_exactly_the_selected_parameters_freeze() -> None:
    model = Detector()
    freeze = resolve_freeze(model, Stage(freeze="0-1"))
    apply_freeze(model, freeze)
    flags = {name: p.requires_grad for name, p in model.model.named_parameters()}
    assert all(not flag for name, flag in flags.items() if name[0] in "01")
    assert all(flag for name, flag in flags.items() if name[0] in "34" and "dfl" not in name)
    assert freeze.frozen_count == 216 + 16 + 576 + 16 and freeze.fixed_count == 8


def test_fixed_weights_never_train_and_are_not_counted_as_frozen() -> None:
    model = Detector()
    freeze = resolve_freeze(model, Stage())
    apply_freeze(model, freeze)
    assert freeze.frozen == () and freeze.frozen_count == 0 and freeze.fixed == ("4.dfl.weight",)
    assert not model.model[4].dfl.weight.requires_grad


def test_train_only_freezes_the_rest_parts_of_layers_included() -> None:
    freeze = resolve_freeze(Detector(), Stage(train_only="0,4.cls"))
    assert set(freeze.trainable) == {"0.0.weight", "0.1.weight", "0.1.bias", "4.cls.weight", "4.cls.bias"}
    assert set(freeze.batchnorms) == {"1.1", "3.1", "4.box.1"}
    assert freeze.selected_layers == (1, 2, 3)


def test_everything_frozen_is_an_error() -> None:
    for selector in ("all", "0-4", "backbone,neck,head"):
        with pytest.raises(InputError, match="freezes everything"):
            resolve_freeze(Detector(), Stage(freeze=selector))


def test_fresh_tensors_stay_trainable_unless_told() -> None:
    fresh = {"4.cls.weight", "4.cls.bias"}
    kept = resolve_freeze(Detector(), Stage(freeze="1,4"), fresh)
    assert set(kept.kept_fresh) == fresh and fresh <= set(kept.trainable) and "4.box.0.weight" in kept.frozen
    insisted = resolve_freeze(Detector(), Stage(freeze="1,4"), fresh, freeze_fresh=True)
    assert insisted.kept_fresh == () and fresh <= set(insisted.frozen)


def test_a_batchnorm_that_is_fresh_is_not_held() -> None:
    freeze = resolve_freeze(Detector(), Stage(freeze="0-1"), {"1.1.weight", "1.1.bias"})
    assert freeze.batchnorms == ("0.1",)


def test_a_model_without_weights_is_not_frozen() -> None:
    model = Detector()
    everything = {name for name, _ in model.model.named_parameters()}
    with pytest.raises(InputError, match="would freeze random weights"):
        resolve_freeze(model, Stage(freeze="0-1"), everything)
    assert resolve_freeze(model, Stage(), everything).frozen == ()


def test_frozen_batchnorm_statistics_stay_put_and_only_those() -> None:
    model = Detector()
    freeze = resolve_freeze(model, Stage(freeze="0-1"))
    apply_freeze(model, freeze)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1, momentum=0.9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for epoch in range(2):
        model.train()
        put_batchnorms_in_eval(model, freeze)
        for batch in range(3):
            step(model, optimizer, 10 * epoch + batch)
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if name.startswith(("model.0.", "model.1."))]
    assert {"model.3.1.running_mean", "model.3.1.num_batches_tracked", "model.3.0.weight"} <= moved


def test_a_plain_loop_can_have_its_batchnorms_held_through_every_train_call() -> None:
    model = Detector()
    freeze = resolve_freeze(model, Stage(freeze="0-1"))
    apply_freeze(model, freeze)
    handles = hold_batchnorms(model, freeze)
    mean = model.model[0][1].running_mean.clone()
    model.train()  # undoes eval, as every training loop does
    model(torch.randn(4, 3, 8, 8))
    assert torch.equal(model.model[0][1].running_mean, mean)
    for handle in handles:
        handle.remove()
    model.train()
    model(torch.randn(4, 3, 8, 8))
    assert not torch.equal(model.model[0][1].running_mean, mean)


def test_a_stale_gradient_is_dropped_when_a_tensor_freezes() -> None:
    model = Detector()
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    apply_freeze(model, resolve_freeze(model, Stage(freeze="0")))
    assert model.model[0][0].weight.grad is None and model.model[1][0].weight.grad is not None


def test_a_plain_sequential_works_too() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    freeze = resolve_freeze(model, Stage(freeze="0"))
    apply_freeze(model, freeze)
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    assert "4 of 12" not in freeze.describe() and "6 of 12 parameters (50.0%)" in freeze.describe()


@pytest.mark.parametrize(
    ("stage", "depth"),
    [
        (Stage(), 0),
        (Stage(freeze="0-1"), 2),
        (Stage(freeze="backbone"), 2),
        (Stage(train_only="head"), 4),
        (Stage(freeze="1"), None),
        (Stage(freeze="0,4.cls"), None),
        (Stage(freeze="4.cls"), None),
    ],
)
def test_the_depth_is_that_of_the_layers_whatever_words_picked_them(stage: Stage, depth: int | None) -> None:
    assert resolve_freeze(Detector(), stage).depth == depth


def test_a_freeze_of_nothing_is_an_error_and_a_partial_one_is_told() -> None:
    for selector in ("2", "4.dfl"):
        with pytest.raises(InputError, match="freezes nothing"):
            resolve_freeze(Detector(), Stage(freeze=selector))
    assert "frozen layers none and parts of 4 of 5" in resolve_freeze(Detector(), Stage(freeze="4.cls")).describe()
