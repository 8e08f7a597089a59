"""Powering the machine off after long work, for those who pay by the hour."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from frostline.errors import InputError

logger = logging.getLogger(__name__)
COMMAND_VARIABLE = "FROSTLINE_SHUTDOWN_COMMAND"
MODES = ("success", "always")
_AT_ONCE = 300.0
"""Seconds within which a bad input is told to somebody who has just typed the command."""


@contextmanager
def powering_off(
    mode: str | None, ask: Callable[[str], bool], command: str | None = None
) -> Iterator[Callable[[], None]]:
    """Power the machine off once, when the block of work ends.

    Args:
        mode: None for never, `success` for after work that succeeded, `always` for after a failure, too; but not when
            the work refuses its input in the first minutes, as nothing was done then.
        ask: asked before the work starts; False calls everything off.
        command: what powers off; by default the variable `FROSTLINE_SHUTDOWN_COMMAND`, else `shutdown -h now`.

    Yields:
        A function that the work calls when some of it failed without an exception.

    Raises:
        InputError: an unknown mode, a command that cannot be run, or the answer was no.
    """
    if mode is None:
        yield lambda: None
        return
    if mode not in MODES:
        raise InputError(f"--shutdown={mode}: expected --shutdown or --shutdown=always")
    words = _command(command or os.environ.get(COMMAND_VARIABLE, "").strip() or "shutdown -h now")
    when = "when the work ends, even if it fails" if mode == "always" else "when the work has succeeded"
    if not ask(f"This machine will be powered off {when} (`{shlex.join(words)}`). Go on?"):
        raise InputError("shutdown not confirmed: nothing was started")
    failed, started = False, time.monotonic()

    def note_failure() -> None:
        nonlocal failed
        failed = True

    try:
        yield note_failure
    except KeyboardInterrupt:  # somebody is at the keyboard
        mode = None
        raise
    except BaseException as error:
        failed = True
        if isinstance(error, InputError) and time.monotonic() - started < _AT_ONCE:
            mode = None
        raise
    finally:
        if mode == "always" or (mode == "success" and not failed):
            logger.warning("powering off: %s", shlex.join(words))
            status = subprocess.run(words, check=False).returncode
            if status:
                logger.error("%s ended with status %d: this machine may stay on", shlex.join(words), status)
        elif mode is not None:
            logger.warning("not powering off: the work failed")


def _command(text: str) -> list[str]:
    """Split the command, and make sure before hours of work that it can be run."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"{COMMAND_VARIABLE}: `{text}` cannot be read: {error}") from error
    if shutil.which(words[0]) is None:
        raise InputError(
            f"--shutdown: there is no command '{words[0]}'; put one that powers off into {COMMAND_VARIABLE}"
        )
    return words
