from __future__ import annotations

import pytest
from toy import Detector, Wrapper

from frostline import (
    InputError,
    set_eval_for_frozen_layers,
    set_frozen_first_n_layers,
    set_trainable_first_n_layers,
    summarize_trainable_and_bn,
)


def trainable_layers(model: Detector) -> list[int]:
    return sorted({int(name[0]) for name, p in model.model.named_parameters() if p.requires_grad})


def test_the_first_n_train_and_the_rest_is_frozen() -> None:
    model = Detector()
    assert set_trainable_first_n_layers(Wrapper(model), 2) == [2, 3, 4]
    assert trainable_layers(model) == [0, 1]
    assert not model.model[3][1].training and model.model[0][1].training


def test_the_first_n_are_frozen_and_the_rest_trains() -> None:
    model = Detector()
    assert set_frozen_first_n_layers(model.model, 2) == [0, 1]
    assert trainable_layers(model) == [3, 4]
    assert set_frozen_first_n_layers(model, 0) == []
    assert trainable_layers(model) == [0, 1, 3, 4] and model.model[0][1].training


@pytest.mark.parametrize("wrong", [-1, 6])
def test_a_count_out_of_range_is_an_error(wrong: int) -> None:
    for function in (set_trainable_first_n_layers, set_frozen_first_n_layers):
        with pytest.raises(InputError, match="the model has 5"):
            function(Detector(), wrong)
    with pytest.raises(InputError, match="freezes everything"):
        set_frozen_first_n_layers(Detector(), 5)
    with pytest.raises(InputError, match="nothing trainable"):
        set_trainable_first_n_layers(Detector(), 0)


def test_batchnorms_of_the_named_layers_and_no_others_go_to_eval() -> None:
    model = Detector()
    assert set_eval_for_frozen_layers(model, [0, 4]) == 2
    assert [model.model[i][1].training for i in (0, 1, 3)] == [False, True, True]
    with pytest.raises(InputError, match="no layer 7"):
        set_eval_for_frozen_layers(model, [7])


def test_the_summary_line_is_the_references(capsys: pytest.CaptureFixture[str]) -> None:
    model = Detector()
    set_frozen_first_n_layers(model, 2)
    counts = summarize_trainable_and_bn(model, "stage1_before_train")
    assert capsys.readouterr().out == (
        "[stage1_before_train] trainable_params=707 frozen_params=832 bn_total=4 bn_eval=2 bn_train=2\n"
    )
    assert counts["trainable_params"] == 592 + 115
