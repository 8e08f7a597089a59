"""Frozen layers that several models have in common: computed once, and only where they are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_cheaper_forward import batch, detector, freeze_first, step

from frostline.training.arithmetic import Arithmetic
from frostline.training.features import FeatureStore
from frostline.training.network import follow_freeze, make_cheaper, share_trunk
from frostline.training.trunk import Trunk, layer_keys

pytestmark = pytest.mark.integration


def sharing(yaml: Path, frozen: int, trunk: Trunk | None, **levers: Any) -> Any:
    model = detector(yaml, frozen)
    make_cheaper(model, Arithmetic("fp32", no_grad_prefix=True, **levers))
    share_trunk(model, trunk)
    follow_freeze(model)
    return model


def assert_same_step(one: Any, two: Any) -> None:
    (loss, gradients), (other, others) = step(one), step(two)
    assert torch.equal(loss, other) and gradients.keys() == others.keys()
    assert all(torch.equal(gradients[name], others[name]) for name in gradients)


@pytest.mark.parametrize("order", [(3, 5, 7, 0), (7, 3, 5, 5)])
def test_losses_and_gradients_are_those_of_models_by_themselves(order: tuple[int, ...], tiny_yaml: Path) -> None:
    trunk = Trunk()
    models = [sharing(tiny_yaml, frozen, trunk) for frozen in order]
    for frozen, model in zip(order, models, strict=True):
        assert_same_step(model, sharing(tiny_yaml, frozen, None))
    # 7 after 5 after 3 go on where the one before ended; 3 and 5 after 7 find what it kept for them
    assert trunk.handed_on == {(3, 5, 7, 0): 3 + 5, (7, 3, 5, 5): 3 + 5 + 5}[order]


def test_other_weights_other_images_and_written_outputs_are_not_shared(tiny_yaml: Path) -> None:
    trunk = Trunk()
    first, same, other = (sharing(tiny_yaml, 3, trunk) for _ in range(3))
    with torch.no_grad():
        other.model[2].cv1.conv.weight[0, 0, 0, 0] += 1e-3
    share_trunk(other, None)
    freeze_first(other, 0)
    follow_freeze(other)
    share_trunk(other, trunk)
    freeze_first(other, 3)
    follow_freeze(other)
    step(first)
    step(other)
    assert trunk.handed_on == 0
    step(same)
    assert trunk.handed_on == 3
    with torch.no_grad():
        same(batch()["img"] + 0.1)
        assert trunk.handed_on == 3
        first(batch()["img"] + 0.1)
        assert trunk.handed_on == 6
        (output, _), *_ = trunk._outputs.values()
        output.add_(1.0)
        first(batch()["img"] + 0.1)
    assert trunk.handed_on == 6


def test_a_layer_is_known_by_what_it_computes(tiny_yaml: Path) -> None:
    layers = list(detector(tiny_yaml).model)[:4]
    keys = layer_keys(layers, "fp32")
    assert len(set(keys)) == 4 and layer_keys(list(detector(tiny_yaml).model)[:2], "fp32") == keys[:2]
    assert not set(layer_keys(layers, "bf16")) & set(keys)
    layers[1].bn.running_mean[0] += 1.0
    changed = layer_keys(layers, "fp32")
    assert changed[0] == keys[0] and not set(changed[1:]) & set(keys)
    assert layer_keys([layers[0], torch.nn.Sequential(torch.nn.Dropout(0.1))], "fp32") == keys[:1]


def test_a_model_with_kept_features_takes_nothing_from_the_trunk(tiny_yaml: Path, tmp_path: Path) -> None:
    trunk = Trunk()
    store = FeatureStore(tmp_path / "features.bin", ["a", "b"], 5)
    store.next_batch(["a", "b"])
    step(sharing(tiny_yaml, 3, trunk))
    model = detector(tiny_yaml, 5)
    make_cheaper(model, Arithmetic("fp32", no_grad_prefix=True), store)
    share_trunk(model, trunk)
    follow_freeze(model)
    assert_same_step(model, sharing(tiny_yaml, 5, None))
