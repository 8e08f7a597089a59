"""Selectors: short strings that pick layers, parsed, then resolved against the layers that a model really has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from frostline.errors import InputError, did_you_mean
from frostline.freezing.layers import find_layers, layer_roles

_ROLES = ("backbone", "neck", "head")
_RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")
_MODULE = re.compile(r"^(\d+)((?:\.\w+)+)$")


@dataclass(frozen=True)
class Selection:
    """What a selector picked.

    Attributes:
        layers: indices of layers picked whole, ascending.
        modules: dotted names below the layer list picked inside other layers (`23.cv3`).
    """

    layers: tuple[int, ...]
    modules: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        """Tell whether a parameter or module, by its dotted name below the layer list, is picked."""
        if int(name.split(".", 1)[0]) in self.layers:
            return True
        return any(name == module or name.startswith(f"{module}.") for module in self.modules)

    def __bool__(self) -> bool:
        return bool(self.layers or self.modules)


def first(n: int, total: int) -> str:
    """Return the selector of the first `n` layers.

    Args:
        n: 0 to `total`.
        total: number of layers of the model.

    Raises:
        InputError: `n` is below 0 or above `total`.
    """
    if not 0 <= n <= total:
        raise InputError(f"cannot take the first {n} layers: the model has {total} (0 to {total - 1})")
    return "none" if n == 0 else f"0-{n - 1}"


def check_syntax(selector: str) -> tuple[str, ...]:
    """Split a selector into its terms, without a model to resolve them against.

    Raises:
        InputError: a term is not an index, a range, a role, `all`, `none` or a module path.
    """
    terms = tuple(term.strip() for term in selector.split(","))
    words = (*_ROLES, "all", "none")
    for term in terms:
        if term in words or _MODULE.match(term):
            continue
        span = _RANGE.match(term)
        if span is None:
            raise InputError(
                f"selector '{selector}': cannot read '{term}'{did_you_mean(term, words)}; "
                "write indices (0,4,6), a range (0-2), backbone, neck, head, all, none, or a module (23.cv3)"
            )
        if span[2] is not None and int(span[2]) < int(span[1]):
            raise InputError(f"selector '{selector}': the range {term} runs backwards")
    if "none" in terms and len(terms) > 1:
        raise InputError(f"selector '{selector}': 'none' stands alone")
    return terms


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
        elif term in _ROLES:
            picked = {i for i, role in enumerate(roles) if role == term}
            if not picked:
                raise InputError(f"selector '{selector}' matches nothing: this model has no {term} ({total} layers)")
            whole |= picked
        elif span := _RANGE.match(term):
            low, high = int(span[1]), int(span[2] or span[1])
            if high >= total:
                raise InputError(f"selector '{selector}': no layer {high}; the model has layers 0 to {total - 1}")
            whole |= set(range(low, high + 1))
        else:
            modules.append(_existing_module(term, selector, layers))
    return Selection(tuple(sorted(whole)), tuple(m for m in modules if int(m.split(".", 1)[0]) not in whole))


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


def describe_indices(indices: Iterable[int]) -> str:
    """Write indices as a selector: `0..2`, `0, 4, 6`, or `none`."""
    spans = _spans(sorted(set(indices)))
    return ", ".join(f"{low}" if low == high else f"{low}..{high}" for low, high in spans) or "none"


def _spans(indices: Sequence[int]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for index in indices:
        if spans and index == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], index)
        else:
            spans.append((index, index))
    return spans
