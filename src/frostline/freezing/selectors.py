"""Selectors: short strings that pick layers, and the names and numbers of layers in words. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from frostline.errors import InputError, did_you_mean

ROLES = ("backbone", "neck", "head")
RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")
MODULE = re.compile(r"^(\d+)((?:\.\w+)+)$")


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
        if layer_index(name) in self.layers:
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
    words = (*ROLES, "all", "none")
    for term in terms:
        if term in words or MODULE.match(term):
            continue
        span = RANGE.match(term)
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


def layer_index(name: str) -> int:
    """Return the layer a dotted name below the layer list belongs to (`23.cv3.0.weight` -> 23)."""
    return int(name.split(".", 1)[0])


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
