"""The one exception that a user is meant to read, and helpers that word it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A bad input, told in one line: what was given, what was expected, what to do.

    The command line prints the message and exits with status 2; from Python it is a `ValueError`.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `", did you mean 'x'?"` for the known word nearest to `word`, or an empty string.

    Args:
        word: what the user wrote.
        known: every word that would have been accepted.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean '{near[0]}'?" if near else ""
