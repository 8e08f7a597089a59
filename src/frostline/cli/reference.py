"""What the drop-in scripts share: the reference scripts' flags, and how their errors are told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from frostline.errors import InputError


def training_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the flags that both training scripts of the reference have, underscores and all."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default="yolo11s.pt", help="checkpoint or model YAML")
    parser.add_argument("--data", required=True, help="the dataset's data.yaml")
    parser.add_argument("--imgsz", type=int, default=1280, help="image size, pixels")
    parser.add_argument("--batch", type=int, default=12, help="images a batch")
    parser.add_argument("--close_mosaic", type=int, default=10, help="last epochs without mosaic")
    parser.add_argument("--workers", type=int, default=40, help="loader processes; lowered to the machine's cores")
    parser.add_argument("--device", default="0", help="number of a GPU, or cpu")
    parser.add_argument("--optimizer", default="SGD", choices=["SGD", "Adam", "AdamW"])
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument("--project", default="runs/train", help="folder of run folders")
    add_shutdown(parser)
    return parser


def add_shutdown(parser: argparse.ArgumentParser) -> None:
    """Add `--shutdown [always]` and `--yes`."""
    parser.add_argument(
        "--shutdown",
        nargs="?",
        const="success",
        choices=["success", "always"],
        help="power the machine off after the last run; 'always' also after a failure",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before a shutdown is armed")


def training_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the training arguments that the flags name."""
    keys = ("imgsz", "batch", "close_mosaic", "workers", "optimizer", "amp")
    return {key: getattr(args, key) for key in keys}


def confirmation(args: argparse.Namespace) -> Callable[[str], bool]:
    """Return the function that asks before a shutdown."""
    if args.yes:
        return lambda _question: True
    return lambda question: input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def run_script(main: Callable[[], int]) -> None:
    """Run a script's main function: one line and status 2 for a bad input, 130 when interrupted."""
    try:
        sys.exit(main())
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201 (a command line)
        sys.exit(2)
    except (KeyboardInterrupt, EOFError):
        print("interrupted", file=sys.stderr)  # noqa: T201 (a command line)
        sys.exit(130)
