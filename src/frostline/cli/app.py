"""The Typer application, its command groups, and the one place where errors become exit statuses."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from frostline.cli import chroma, data, plan, raw, shadows, shadows_evaluate, study
from frostline.cli.ablate import ablate
from frostline.cli.chroma_estimate import estimate
from frostline.cli.chroma_look import measure, view
from frostline.cli.compare import EPILOG, ManyMetricsCommand, compare
from frostline.cli.demo import demo
from frostline.cli.evaluate import evaluate
from frostline.cli.explain import explain
from frostline.cli.gradients import gradients
from frostline.cli.layers import layers
from frostline.cli.predict import predict
from frostline.cli.pretrain import pretrain
from frostline.cli.probe import probe
from frostline.cli.report import report
from frostline.cli.scenes import scenes
from frostline.cli.train import train, two_stage
from frostline.errors import InputError, StoppedError

_INTERRUPTED = 130

app = typer.Typer(
    name="frostline",
    help="How deep to freeze a pretrained detector, answered with evidence.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo)
app.command("layers")(layers)
app.add_typer(plan.app, name="plan")
app.command("probe")(probe)
app.command("train")(train)
app.command("two-stage")(two_stage)
app.command("ablate")(ablate)
app.add_typer(study.app, name="study")
app.command("compare", cls=ManyMetricsCommand, epilog=EPILOG)(compare)
app.command("report")(report)
app.command("evaluate")(evaluate)
app.command("explain")(explain)
app.command("gradients")(gradients)
app.command("predict")(predict)
app.command("pretrain")(pretrain)
data.app.command("scenes")(scenes)
app.add_typer(data.app, name="data")
chroma.app.command("measure")(measure)
chroma.app.command("view")(view)
app.add_typer(raw.app, name="raw")
shadows.app.command("evaluate")(shadows_evaluate.evaluate)
app.add_typer(shadows.app, name="shadows")
chroma.app.command("estimate")(estimate)
app.add_typer(chroma.app, name="chroma")


def _version(value: bool) -> None:
    if value:
        from frostline import __version__

        typer.echo(f"frostline {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done in detail.")] = False,
) -> None:
    """How deep to freeze a pretrained detector, answered with evidence."""
    del version
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format="%(message)s", stream=sys.stderr)
    if not verbose:
        for noisy in ("matplotlib", "numba", "PIL", "fontTools", "h5py", "urllib3"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


def main() -> None:
    """Run the command line: 0 when all went well, 1 when some work failed, 2 for a bad input, 130 when interrupted."""
    # click knows no option whose value may be missing: a bare --shutdown means after success
    arguments = ["--shutdown=success" if word == "--shutdown" else word for word in sys.argv[1:]]
    heard = _listen()
    _check_names([*arguments, str(Path.cwd())])
    try:
        status = app(arguments, standalone_mode=False)
    except KeyboardInterrupt:  # before the command began, or as it left; within it, Typer catches it
        status = _INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if not heard:
            _tell(error, arguments)
        status = _INTERRUPTED  # it was swallowed by what was being imported, which then failed in its own way
    if status == _INTERRUPTED:
        Console(stderr=True).print("interrupted; what was finished is kept, run the same command again")
    sys.exit(status if isinstance(status, int) else 0)


def _check_names(names: Sequence[str]) -> None:
    """Refuse names that this process cannot write down as they are: Python reads them by the terminal's encoding."""
    encoding = sys.getfilesystemencoding()
    if encoding.lower().replace("-", "") != "utf8" and not all(name.isascii() for name in names):
        _fail(f"names with other letters than those of ASCII need UTF-8, and it is {encoding} here: set PYTHONUTF8=1")


def _listen() -> list[int]:
    """Return a list that Ctrl-C and SIGTERM are noted in: a library interrupted while it loads may not pass it on."""
    heard: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, note)
    signal.signal(signal.SIGTERM, note)  # as a cluster or `kill` sends it
    return heard


def _tell(error: Exception, arguments: list[str]) -> NoReturn:
    """Leave with what went wrong in one line, or with the traceback of what nobody foresaw."""
    if isinstance(error, InputError):
        _fail(str(error))
    if isinstance(error, StoppedError):
        _fail(str(error), 1)
    if isinstance(error, typer.Abort):
        _fail("not confirmed: nothing was started")
    if not hasattr(error, "format_message"):  # what Typer raises for a wrong option, and keeps to itself
        raise error
    if not arguments or type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    _fail(f"{error.format_message().rstrip('.')}{hint}")


def _fail(message: str, status: int = 2) -> NoReturn:
    stderr = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    stderr.print(f"[bold red]error:[/] {_plain(message.replace('Value error, ', ''))}")
    sys.exit(status)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(" ".join(text.split()))
