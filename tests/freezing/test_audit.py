from __future__ import annotations

import math

import pytest
import torch
from toy import Detector, step

from frostline import Stage
from frostline.freezing import Audit, FreezeWatch, apply_freeze, check_saved, put_batchnorms_in_eval, resolve_freeze
from frostline.freezing.audit import fingerprint


def watched(selector: str = "0-1") -> tuple[Detector, FreezeWatch, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Detector()
    freeze = resolve_freeze(model, Stage(freeze=selector))
    apply_freeze(model, freeze)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model.train()
    put_batchnorms_in_eval(model, freeze)
    return model, FreezeWatch(model, freeze), optimizer


def train(model: Detector, watch: FreezeWatch, optimizer: torch.optim.Optimizer) -> None:
    model(torch.randn(4, 3, 8, 8)).square().mean().backward()
    watch.observe_gradients()
    optimizer.step()
    optimizer.zero_grad()


def saved_in_half(model: Detector) -> dict[str, torch.Tensor]:
    state = model.model.state_dict()
    return {name: value.half() if value.is_floating_point() else value.clone() for name, value in state.items()}


def failures(audit: Audit) -> list[str]:
    return [check.name for check in audit.failures]


def test_an_honest_run_passes() -> None:
    model, watch, optimizer = watched()
    train(model, watch, optimizer)
    saved = saved_in_half(model)
    audit = watch.audit(optimizer, saved)
    assert audit.passed and audit.verdict == "PASS" and len(audit.checks) == 6


def test_a_frozen_weight_that_moved_by_one_bit_fails() -> None:
    model, watch, optimizer = watched()
    train(model, watch, optimizer)
    weight = model.model[1][0].weight.data.view(-1)
    weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
    audit = watch.audit(optimizer)
    assert failures(audit) == ["frozen weights are bitwise unchanged"]
    assert "1.0.weight" in audit.failures[0].detail and audit.verdict == "FAIL"


def test_batchnorms_left_in_training_mode_fail() -> None:
    model, watch, optimizer = watched()
    model.train()
    train(model, watch, optimizer)
    assert failures(watch.audit(optimizer)) == ["statistics of frozen BatchNorms are unchanged"]


def test_a_layer_that_was_to_train_and_got_no_gradient_fails() -> None:
    model, watch, optimizer = watched()
    model.model[3].requires_grad_(False)
    train(model, watch, optimizer)
    assert "every layer that was to train got gradients" in failures(watch.audit(optimizer))
    assert "requires_grad follows the plan and no frozen tensor had a gradient" in failures(watch.audit(optimizer))


def test_an_optimizer_with_a_frozen_tensor_fails() -> None:
    model, watch, _ = watched()
    everything = torch.optim.SGD(model.parameters(), 0.1)
    train(model, watch, everything)
    assert failures(watch.audit(everything)) == ["the optimizer holds the trainable tensors and no other"]


def test_a_checkpoint_with_other_frozen_values_fails() -> None:
    model, watch, optimizer = watched()
    train(model, watch, optimizer)
    saved = saved_in_half(model)
    saved["0.1.running_var"] = saved["0.1.running_var"] * 2
    assert failures(watch.audit(optimizer, saved)) == ["the checkpoint holds the values that were frozen at the start"]
    del saved["0.1.running_var"]
    assert not check_saved(watch.fingerprints, saved).passed


def test_a_gradient_in_a_frozen_tensor_is_seen_even_if_it_moved_nothing() -> None:
    model, watch, optimizer = watched()
    model.model[0][0].weight.grad = torch.ones_like(model.model[0][0].weight)
    train(model, watch, optimizer)
    assert failures(watch.audit(optimizer)) == ["requires_grad follows the plan and no frozen tensor had a gradient"]


def test_no_check_is_no_pass() -> None:
    assert not Audit().passed


def test_a_single_silent_tensor_is_noted_and_not_failed() -> None:
    model, watch, optimizer = watched()
    model.model[4].cls.register_forward_hook(lambda *_: torch.zeros(4, 3, 8, 8))
    train(model, watch, optimizer)
    audit = watch.audit(optimizer)
    assert audit.passed and "2 trainable tensors never had a gradient" in audit.notes[0]


def test_gradient_norms_are_the_mean_over_steps_and_start_anew_each_epoch() -> None:
    model, watch, optimizer = watched("0-2")
    expected = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        model(torch.randn(4, 3, 8, 8, generator=generator)).square().mean().backward()
        grads = [p.grad for p in model.model[3].parameters() if p.grad is not None]
        expected.append(math.sqrt(sum(float(g.double().square().sum()) for g in grads)))
        watch.observe_gradients(scale=1.0)
        optimizer.zero_grad()
    norms = watch.epoch_gradient_norms()
    assert list(norms) == [3, 4] and norms[3] == pytest.approx(sum(expected) / 3, rel=1e-5)
    assert watch.epoch_gradient_norms() == {}, "no step, no norm"


def test_a_scaled_loss_gives_the_same_norms() -> None:
    model, watch, _ = watched()
    loss = model(torch.ones(2, 3, 8, 8)).square().mean()
    (loss * 1024).backward()
    watch.observe_gradients(scale=1024)
    scaled = watch.epoch_gradient_norms()
    model.zero_grad()
    model(torch.ones(2, 3, 8, 8)).square().mean().backward()
    watch.observe_gradients()
    assert scaled == pytest.approx(watch.epoch_gradient_norms(), rel=1e-3)


def test_fingerprints_survive_half_precision_and_only_that() -> None:
    value = torch.randn(50)
    assert fingerprint(value) == fingerprint(value.half()) == fingerprint(value.half().float())
    assert fingerprint(value) != fingerprint(value * 1.01)
    assert fingerprint(torch.tensor(3)) != fingerprint(torch.tensor(4))


def test_an_interrupted_stage_is_judged_by_what_it_started_from() -> None:
    model, watch, optimizer = watched()
    known, start = watch.got_gradient, watch.fingerprints
    model.model[0][0].weight.data.add_(1)  # changed before the process that resumes
    resumed = FreezeWatch(model, watch.freeze)
    resumed.restore(known, start)
    train(model, resumed, optimizer)
    saved = saved_in_half(model)
    assert failures(resumed.audit(optimizer, saved)) == [
        "the checkpoint holds the values that were frozen at the start"
    ]


def test_steps_of_the_toy_really_move_what_trains() -> None:
    model, _, optimizer = watched()
    before = model.model[3][0].weight.clone()
    step(model, optimizer)
    assert not torch.equal(before, model.model[3][0].weight)


def test_a_run_whose_steps_moved_nothing_is_told() -> None:
    model, watch, optimizer = watched()
    optimizer.param_groups[0]["lr"] = 0.0
    train(model, watch, optimizer)
    audit = watch.audit(optimizer)
    assert audit.passed and audit.notes[-1].startswith("warning: no trainable weight moved")
    optimizer.param_groups[0]["lr"] = 1e-6
    train(model, watch, optimizer)
    assert not [note for note in watch.audit(optimizer).notes if "moved" in note]


def test_relative_norms_divide_by_the_weights_that_train() -> None:
    model, watch, optimizer = watched("0-2")
    train(model, watch, optimizer)
    for index, norm in watch.weight_norms().items():
        squares = [p.detach().double().square().sum() for p in model.model[index].parameters() if p.requires_grad]
        assert norm == pytest.approx(math.sqrt(sum(map(float, squares))), rel=1e-5)
    assert list(watch.weight_norms()) == list(watch.epoch_gradient_norms()) == [3, 4]


def test_a_step_that_overflowed_is_left_out_of_the_mean_and_a_layer_without_any_has_nan() -> None:
    model, watch, optimizer = watched("0-2")
    train(model, watch, optimizer)
    alone = dict(watch.epoch_gradient_norms())
    torch.manual_seed(0)
    model, watch, optimizer = watched("0-2")
    train(model, watch, optimizer)
    model(torch.randn(4, 3, 8, 8)).square().mean().backward()
    model.model[3][0].weight.grad.view(-1)[0] = math.inf
    watch.observe_gradients()
    norms = watch.epoch_gradient_norms()
    assert norms[3] == pytest.approx(alone[3]) and norms[4] != pytest.approx(alone[4])
    watch.observe_gradients()
    assert math.isnan(watch.epoch_gradient_norms()[3])


def test_a_step_without_any_gradient_is_no_step() -> None:
    model, watch, _ = watched("0-2")
    model.zero_grad()
    watch.observe_gradients()
    assert watch.epoch_gradient_norms() == {}
