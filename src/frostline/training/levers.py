"""Training arguments beside Ultralytics' own: what makes a run cheaper, read and checked. No torch.

Which levers there are, what each does to a result and what it gains is told in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frostline.errors import InputError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")

LEVERS: Mapping[str, Any] = {
    "precision": "auto",
    "channels_last": True,
    "no_grad_prefix": True,
    "fold_frozen": False,
    "fused_validation": True,
    "fill_uninitialized_memory": False,
    "image_cache": "auto",
    "direct_mosaic": True,
    "cache_features": False,
}
"""Training arguments beside Ultralytics' own that make a run cheaper, with their defaults.

`channels_last` is its own as well, but it obeys it on a GPU only.
"""

REFERENCE: Mapping[str, Any] = {
    "precision": "fp32",
    "channels_last": False,
    "no_grad_prefix": False,
    "fold_frozen": False,
    "fused_validation": False,
    "fill_uninitialized_memory": True,
    "image_cache": False,
    "direct_mosaic": False,
    "cache_features": False,
}
"""The same for the arithmetic of plain Ultralytics, which `reference=true` stands for."""


def resolve_levers(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the levers, and `reference`, from what the user named; `amp` is taken as a precision.

    Args:
        given: training arguments; others than the levers, `reference` and `amp` are left alone.

    Raises:
        InputError: a value of the wrong kind, or `amp` and `precision` that differ.
    """
    reference = given.get("reference", False)
    if not isinstance(reference, bool):
        raise InputError(f"reference: expected true or false, got {reference!r}")
    levers = {**(REFERENCE if reference else LEVERS), **{key: given[key] for key in LEVERS if key in given}}
    levers["precision"] = _name_precision(given, levers["precision"])
    for key, value in levers.items():
        if key != "precision" and not isinstance(value, bool) and (key, value) != ("image_cache", "auto"):
            also = ", or auto" if key == "image_cache" else ""
            raise InputError(f"{key}: expected true or false{also}, got {value!r}")
    return {**levers, "reference": reference}


def _name_precision(given: Mapping[str, Any], precision: Any) -> str:
    if precision not in PRECISIONS:
        raise InputError(f"precision: expected {', '.join(PRECISIONS)}, got {precision!r}")
    if "amp" not in given:
        return str(precision)
    amp = {True: "auto", False: "fp32"}.get(given["amp"], given["amp"]) if _hashable(given["amp"]) else None
    if amp not in PRECISIONS:
        raise InputError(f"amp: expected true, false or a precision ({', '.join(PRECISIONS)}), got {given['amp']!r}")
    if "precision" in given and amp != precision:
        raise InputError(f"amp={given['amp']} and precision={precision} do not agree; leave amp out")
    return str(amp)


def _hashable(value: Any) -> bool:
    return isinstance(value, str | bool)
