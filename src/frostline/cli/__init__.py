"""The command line: parse, call one function, print. Heavy imports happen inside the commands."""

from __future__ import annotations

try:
    from frostline.cli.app import app, main
except KeyboardInterrupt:  # Ctrl-C before there is an application that could answer it
    raise SystemExit(130) from None

__all__ = ["app", "main"]
