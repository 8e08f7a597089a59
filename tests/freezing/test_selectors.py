from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import Detector

from frostline import InputError
from frostline.freezing import describe_indices, first, select


@pytest.mark.parametrize(
    ("selector", "layers", "modules"),
    [
        ("0-2", (0, 1, 2), ()),
        ("0,3", (0, 3), ()),
        ("4, 0-1", (0, 1, 4), ()),
        ("backbone", (0, 1), ()),
        ("neck", (2, 3), ()),
        ("head", (4,), ()),
        ("backbone,head", (0, 1, 4), ()),
        ("all", (0, 1, 2, 3, 4), ()),
        ("none", (), ()),
        ("4.cls", (), ("4.cls",)),
        ("0,4.box.0", (0,), ("4.box.0",)),
        ("head,4.cls", (4,), ()),
    ],
)
def test_a_selector_picks(selector: str, layers: tuple[int, ...], modules: tuple[str, ...]) -> None:
    found = select(selector, Detector())
    assert (found.layers, found.modules) == (layers, modules)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("5", "no layer 5; the model has layers 0 to 4"),
        ("0-9", "no layer 9; the model has layers 0 to 4"),
        ("3-1", "runs backwards"),
        ("bckbone", "did you mean 'backbone'"),
        ("", "cannot read ''"),
        ("0,,1", "cannot read ''"),
        ("-1", "cannot read '-1'"),
        ("none,0", "'none' stands alone"),
        ("4.clss", "has no 'clss', did you mean 'cls'\\?; Head has box, cls, dfl"),
        ("9.cls", "no layer 9"),
        ("0.2", "has no parameters"),
    ],
)
def test_a_wrong_selector_says_what_exists(selector: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select(selector, Detector())


def test_a_role_that_the_model_lacks_is_an_error() -> None:
    with pytest.raises(InputError, match="this model has no neck"):
        select("neck", Detector().model)


def test_membership_is_by_whole_names() -> None:
    picked = select("4.box.1,0", Detector())
    assert "4.box.1.weight" in picked and "0.0.weight" in picked
    assert "4.box.10.weight" not in picked and "4.box.0.weight" not in picked and "1.0.weight" not in picked


@given(st.sets(st.integers(0, 4)))
def test_indices_written_out_select_themselves(indices: set[int]) -> None:
    text = describe_indices(indices).replace("..", "-").replace(" ", "")
    assert set(select(text, Detector()).layers) == indices


def test_first_counts_layers_not_indices() -> None:
    assert (first(0, 5), first(1, 5), first(5, 5)) == ("none", "0-0", "0-4")
    for wrong in (-1, 6):
        with pytest.raises(InputError, match=f"first {wrong} layers"):
            first(wrong, 5)
