"""Selectors resolved against the layers that a model really has."""

from __future__ import annotations

from typing import Any

from torch import nn

from frostline.errors import InputError, did_you_mean
from frostline.freezing.layers import find_layers, layer_roles
from frostline.freezing.selectors import RANGE, ROLES, Selection, check_syntax, layer_index


def select(selector: str, model: Any) -> Selection:
    """Resolve a selector against a model.

    Args:
        selector: terms joined by commas: `0-2`, `0,4,6`, `backbone`, `neck`, `head`, `all`, `none`, `23.cv3`.
        model: see `find_layers`.

    Raises:
        InputError: a term is malformed, out of range or matches nothing; the message lists what exists.
    """
    layers = find_layers(model)
    roles = layer_roles(model)
    total = len(layers)
    whole: set[int] = set()
    modules: list[str] = []
    for term in check_syntax(selector):
        if term == "none":
            continue
        if term == "all":
            whole |= set(range(total))
        elif term in ROLES:
            picked = {i for i, role in enumerate(roles) if role == term}
            if not picked:
                raise InputError(f"selector '{selector}' matches nothing: this model has no {term} ({total} layers)")
            whole |= picked
        elif span := RANGE.match(term):
            low, high = int(span[1]), int(span[2] or span[1])
            if high >= total:
                raise InputError(f"selector '{selector}': no layer {high}; the model has layers 0 to {total - 1}")
            whole |= set(range(low, high + 1))
        else:
            modules.append(_existing_module(term, selector, layers))
    return Selection(tuple(sorted(whole)), tuple(m for m in modules if layer_index(m) not in whole))


def _existing_module(term: str, selector: str, layers: nn.Sequential) -> str:
    index, path = int(term.split(".", 1)[0]), term.split(".", 1)[1]
    if index >= len(layers):
        raise InputError(f"selector '{selector}': no layer {index}; the model has layers 0 to {len(layers) - 1}")
    module: nn.Module = layers[index]
    for part in path.split("."):
        children = dict(module.named_children())
        if part not in children:
            here = ", ".join(children) or "no parts"
            raise InputError(
                f"selector '{selector}': layer {index} ({type(layers[index]).__name__}) has no '{path}'"
                f"{did_you_mean(part, children)}; {type(module).__name__} has {here}"
            )
        module = children[part]
    if next(module.parameters(), None) is None:
        raise InputError(f"selector '{selector}' matches nothing: '{term}' has no parameters")
    return term
