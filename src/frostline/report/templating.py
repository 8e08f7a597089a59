"""Jinja for the report's pages: everything escaped, templates and static files from inside the package."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from frostline.files import finite

# A script element ends at </script> and changes meaning at <!--, wherever they stand; U+2028 ends a line in older
# JavaScript, and is escaped with everything else beyond ASCII.
_SCRIPT = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&'"}

# What a line must not break within: the name of a metric, a number and its percent sign, a p-value, an interval's end.
_UNBROKEN = re.compile(r"mAP50-95|\d %|p (?:&lt;|=) [\d.]*\d|[+\u2212]?[\d.]+ points?\b")
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


@cache
def environment() -> Environment:
    """Return the one environment: autoescape for every template, and an error for a name that is not there."""
    made = Environment(
        loader=PackageLoader("frostline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["script_json"] = script_json
    made.filters["typeset"] = typeset
    made.filters["breakable"] = breakable
    return made


def script_json(value: Any) -> Markup:
    """Write plain data as JSON that can stand in a script element; NaN and infinities become null.

    Args:
        value: of dicts, lists, text, numbers, None; NumPy arrays and numbers too.
    """
    text = json.dumps(finite(_plain(value)), separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_SCRIPT))


def typeset(text: str) -> Markup:
    """Escape a text for the page, with minus signs, and keep together what a line must not break within."""
    signed = _MINUS.sub("\N{MINUS SIGN}", str(escape(text)))
    whole = _UNBROKEN.sub(lambda found: f'<span class="whole">{found[0]}</span>', signed)
    return Markup(whole)


def breakable(name: str) -> Markup:
    """Escape a name for the page, and let a line break after its underscores."""
    return Markup(str(escape(name)).replace("_", "_<wbr>"))


def static(name: str) -> str:
    """Read a text file of `report/static`; empty where there is none of that name."""
    found = files("frostline.report") / "static" / name
    return found.read_text(encoding="utf-8") if found.is_file() else ""


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
