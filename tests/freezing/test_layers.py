from __future__ import annotations

import pytest
import torch
from torch import nn
from toy import Detector, Wrapper, conv

from frostline import InputError
from frostline.freezing import find_layers, layer_roles, layer_table


def test_layers_are_found_in_a_sequential_a_model_and_a_wrapper() -> None:
    model = Detector()
    assert find_layers(model.model) is model.model
    assert find_layers(model) is model.model
    assert find_layers(Wrapper(model)) is model.model


def test_a_model_without_a_list_of_layers_is_an_error_and_not_a_list_of_one() -> None:
    with pytest.raises(InputError, match="no list of layers"):
        find_layers(nn.Linear(2, 2))
    with pytest.raises(InputError, match="no list of layers"):
        find_layers(Wrapper(nn.ModuleList([nn.Linear(2, 2)])))


def test_roles_follow_the_models_own_yaml() -> None:
    assert layer_roles(Detector()) == ("backbone", "backbone", "neck", "neck", "head")
    assert layer_roles(Detector().model) == ("backbone",) * 4 + ("head",)


def test_table_counts_parameters_batchnorms_and_shapes() -> None:
    table = layer_table(Detector(), 64)
    assert [row.parameters for row in table.layers] == [216 + 16, 576 + 16, 0, 576 + 16, 72 + 16 + 27 + 8]
    assert [row.batchnorms for row in table.layers] == [1, 1, 0, 1, 1]
    assert table.layers[4].fixed_parameters == 8
    assert table.layers[0].shape == (8, 64, 64) and table.layers[0].stride == 1
    assert table.layers[-1].parameters_cumulative == table.layers[-1].flops_cumulative == 1


def test_operations_equal_a_hand_count() -> None:
    table = layer_table(Detector(), 16)
    pixels = 16 * 16
    assert table.layers[0].flops == 2 * 3 * 8 * 9 * pixels
    assert table.layers[2].flops == 0
    assert table.layers[4].flops == 2 * (8 * 8 + 8 * 3 + 8) * pixels


def test_measuring_leaves_the_model_alone() -> None:
    model = Detector()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layer_table(model, 32)
    assert model.training and next(model.parameters()).device.type == "cpu"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_size_the_model_cannot_run_at_is_a_clear_error() -> None:
    with pytest.raises(InputError, match="cannot run on a 8 x 8 image"):
        layer_table(nn.Sequential(conv(3, 4), nn.Flatten(), nn.Linear(7, 2)), 8)
