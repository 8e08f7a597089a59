"""The command line: parse, call one function, print. Heavy imports happen inside the commands."""

from __future__ import annotations

from frostline.cli.app import app, main

__all__ = ["app", "main"]
