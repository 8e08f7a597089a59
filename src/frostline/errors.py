"""The exceptions that a user is meant to read, and helpers that word them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(ValueError):
    """A bad input, told in one line: what was given, what was expected, what to do.

    The command line prints the message and exits with status 2; from Python it is a `ValueError`.
    """


class StoppedError(RuntimeError):
    """A run that something from outside ended, as a full disk does: what, what is kept and what to do, in one line.

    The command line prints the message and exits with status 1.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `", did you mean 'x'?"` for the known word nearest to `word`, or an empty string.

    Args:
        word: what the user wrote.
        known: every word that would have been accepted.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean '{near[0]}'?" if near else ""


# What was expected, by the beginning of pydantic's name for the problem.
_EXPECTED: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "list": "a list",
    "too_short": "a list of at least one",
    "model": "key: value pairs",
    "dict": "key: value pairs",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "a number above {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "a number below {lt:g}",
    "finite_number": "a finite number",
}


def first_problem(error: ValidationError) -> str:
    """Word the first problem that pydantic found in one plain line, list places counted from 1."""
    problem = error.errors()[0]
    place = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in problem["loc"])
    return f"{place + ': ' if place else ''}{_words(problem)}"


def _words(problem: Mapping[str, Any]) -> str:
    kind = str(problem["type"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "there is no such key"
    for beginning in sorted(_EXPECTED, key=len, reverse=True):
        if kind.startswith(beginning):
            return f"expected {_EXPECTED[beginning].format(**problem.get('ctx', {}))}, got {shown(problem['input'])}"
    return str(problem["msg"]).removeprefix("Value error, ")


def shown(value: object) -> str:
    """Write a value for a message: short, and `nothing` where there is none."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
