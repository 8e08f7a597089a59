"""What commands over many files share: a progress bar with rate and time left, and how a batch ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

Workers = Annotated[int | None, typer.Option(help="Processes; without it one a core.", min=1)]


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, where that is a terminal.

    Args:
        what: the things counted, such as `images`.

    Yields:
        What to call with the things done and the things in all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    errors = Console(stderr=True, highlight=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), Remaining())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def end(told: str, failed: Sequence[tuple[str, str]]) -> None:
    """Print what was done and name what failed; exit with 1 if something did."""
    from rich.console import Console

    Console(highlight=False, emoji=False, soft_wrap=True).print(told, markup=False)
    errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    for name, reason in failed:
        errors.print(f"{name}: {reason}", markup=False)
    if failed:
        raise typer.Exit(1)
