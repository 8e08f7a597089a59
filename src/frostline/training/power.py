"""Powering the machine off after long work, for those who pay by the hour."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from frostline.errors import InputError

logger = logging.getLogger(__name__)
COMMAND_VARIABLE = "FROSTLINE_SHUTDOWN_COMMAND"
MODES = ("success", "always")


@contextmanager
def powering_off(
    mode: str | None, ask: Callable[[str], bool], command: str | None = None
) -> Iterator[Callable[[], None]]:
    """Power the machine off once, when the block of work ends.

    Args:
        mode: None for never, `success` for after work that succeeded, `always` for after a failure, too.
        ask: asked before the work starts; False calls everything off.
        command: what powers off; by default the variable `FROSTLINE_SHUTDOWN_COMMAND`, else `shutdown -h now`.

    Yields:
        A function that the work calls when some of it failed without an exception.

    Raises:
        InputError: an unknown mode, or the answer was no.
    """
    if mode is None:
        yield lambda: None
        return
    if mode not in MODES:
        raise InputError(f"--shutdown={mode}: expected --shutdown or --shutdown=always")
    words = shlex.split(command or os.environ.get(COMMAND_VARIABLE) or "shutdown -h now")
    when = "when the work ends, even if it fails" if mode == "always" else "when the work has succeeded"
    if not ask(f"This machine will be powered off {when} (`{shlex.join(words)}`). Go on?"):
        raise InputError("shutdown not confirmed: nothing was started")
    failed = False

    def note_failure() -> None:
        nonlocal failed
        failed = True

    try:
        yield note_failure
    except KeyboardInterrupt:  # somebody is at the keyboard
        mode = None
        raise
    except BaseException:
        failed = True
        raise
    finally:
        if mode == "always" or (mode == "success" and not failed):
            logger.warning("powering off: %s", shlex.join(words))
            subprocess.run(words, check=False)
        elif mode is not None:
            logger.warning("not powering off: the work failed")
