"""How the command line shows a run: Ultralytics' own output, or one quiet progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from frostline.studies import PlannedRun
    from frostline.training import Observer


class LoudObserver:
    """Prints lines; epochs are printed by Ultralytics."""

    def say(self, text: str) -> None:
        """Print a line."""
        typer.echo(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        """Do nothing."""


class QuietObserver:
    """One bar a run: epochs done, time, and the last mAP50."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task: int | None = None
        self.label = "training"

    def start(self, label: str, epochs: int) -> None:
        """Begin the bar of a run."""
        self.label = label
        self.task = self.progress.add_task(label, total=epochs, score="")

    def say(self, text: str) -> None:
        """Print a line above the bar; what every run says of itself stays out, warnings stay in."""
        if "finished already" in text and self.task is not None:
            total = self.progress.tasks[self.task].total
            self.progress.update(self.task, completed=total)  # type: ignore[arg-type]
        if text.startswith(("warning", "audit")) or "failed" in text or "finished already" in text:
            self.progress.console.print(f"{self.label}: {text}", markup=False, highlight=False, soft_wrap=True)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        """Move the bar."""
        if self.task is None:
            self.start(self.label, total)
        score = f"mAP50 {metrics.get('metrics/mAP50(B)', 0.0):.3f}"
        self.progress.update(self.task, completed=done, total=total, score=score)  # type: ignore[arg-type]


def observer_of(observer: Observer) -> Callable[[PlannedRun], Observer]:
    """Give the runs in lockstep observers of their own: a bar each, or lines that name them."""
    from frostline.studies.together import LabelledObserver

    def start(planned: PlannedRun) -> Observer:
        if not isinstance(observer, QuietObserver):
            return LabelledObserver(planned.label, observer.say)
        own = QuietObserver(observer.progress)
        own.start(planned.label, planned.spec.epochs)
        return own

    return start


@contextmanager
def watching(quiet: bool) -> Iterator[Observer]:
    """Give an observer for the runs of a command; with `quiet`, Ultralytics is hushed while the block runs."""
    if not quiet:
        yield LoudObserver()
        return
    from frostline.training.machine import hushed

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[score]}"),
        console=Console(),
    )
    with hushed(), progress:
        yield QuietObserver(progress)


@contextmanager
def steps(observer: Observer | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows how far a pretraining is: to be called with (what, done, in all).

    A bar for each `what`, beside the bar of a quiet study, or on standard error where that is a terminal.
    """
    tasks: dict[str, TaskID] = {}
    quiet = isinstance(observer, QuietObserver)
    console = Console(stderr=True, highlight=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    own = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    progress = observer.progress if isinstance(observer, QuietObserver) else own

    def step(what: str, done: int, total: int) -> None:
        if what not in tasks:
            if done >= total:
                return
            if not quiet:
                own.start()
            tasks[what] = progress.add_task(f"pretraining: {what}", total=total, score="")
        progress.update(tasks[what], completed=done, total=total)
        if done >= total:  # the next pretraining starts a bar of its own
            progress.remove_task(tasks.pop(what))
            if not tasks and not quiet:
                own.stop()

    try:
        yield step
    finally:
        if not quiet:
            own.stop()
