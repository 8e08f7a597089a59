"""The runs of a study in other processes, as a table that follows them, or as lines where nobody looks on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from frostline.studies import RunState, Study
    from frostline.studies.driving import OnLook, Standing

BAR = 16
"""Characters of a bar."""

MOST_ROWS = 30
"""Runs shown at a time: what runs first, then what waits."""


@contextmanager
def live_table(study: Study, wanted: bool) -> Iterator[OnLook | None]:
    """Give a function that shows where runs stand, for `Study.run`.

    Args:
        study: of the runs.
        wanted: whether there is anything to follow.
    """
    from frostline.cli.console import console

    if not wanted:
        yield None
        return
    out = console()
    if not out.is_terminal:
        yield lines(study, lambda text: out.print(text, markup=False, soft_wrap=True))
        return
    with Live(console=out, refresh_per_second=4, transient=True) as live:
        began = time.monotonic()

        def look(standing: Sequence[Standing]) -> None:
            live.update(draw(study.states(), standing, time.monotonic() - began))

        yield look


def lines(study: Study, say: Callable[[str], None]) -> OnLook:
    """Return a function that says a line whenever a run has come further."""
    known: dict[str, tuple[str, int]] = {}

    def look(standing: Sequence[Standing]) -> None:
        states = {state.label: state for state in study.states()}
        for one in standing:
            state = states[one.planned.label]
            now = (one.state, state.epochs_done)
            before = known.get(state.label, ("waiting" if one.state != "finished" else "finished", state.epochs_done))
            known[state.label] = now
            if now != before:
                say(_line(one.state, state))

    return look


def _line(now: str, state: RunState) -> str:
    words = f"{state.label}: {now}, epoch {state.epochs_done} of {state.epochs}"
    left = state.seconds_left
    if now == "running" and left is not None and state.epoch_seconds is not None:
        words += f", {state.epoch_seconds:.1f} s an epoch, {duration(left)} left"
    return words + ("" if state.map50 is None else f", mAP50 {state.map50:.4f}")


def draw(states: Sequence[RunState], standing: Sequence[Standing], seconds: float) -> Table:
    """Draw the table.

    Args:
        states: of every run, from disk.
        standing: the same runs, as the executor has them.
        seconds: since the study was begun.
    """
    from frostline.cli.console import plain_table
    from frostline.cli.studying import COLOURS

    now = {one.planned.label: one.state for one in standing}
    rank = {"running": 0, "taken": 1, "failed": 2, "interrupted": 3, "waiting": 4, "finished": 5}
    ordered = sorted(states, key=lambda state: rank.get(now[state.label], 6))
    table = plain_table(
        "run", "status", "epochs", "", "s/epoch", "left", "mAP50", left=frozenset({"run", "status", "epochs"})
    )
    for state in ordered[:MOST_ROWS]:
        word = now[state.label]
        left = state.seconds_left
        table.add_row(
            escape(state.label),
            f"[{COLOURS.get(word, 'dim')}]{word}[/]",
            bar(state.epochs_done, state.epochs),
            f"{state.epochs_done}/{state.epochs}",
            "" if state.epoch_seconds is None else f"{state.epoch_seconds:.1f}",
            duration(left) if left and word == "running" else "",
            "" if state.map50 is None else f"{state.map50:.4f}",
        )
    done = sum(word == "finished" for word in now.values())
    more = f", {len(states) - MOST_ROWS} more not shown" if len(states) > MOST_ROWS else ""
    table.caption = f"{done} of {len(states)} runs finished, {duration(seconds)} so far{_rest(states, now)}{more}"
    table.caption_justify = "left"
    return table


def _rest(states: Sequence[RunState], now: Mapping[str, str]) -> str:
    """Estimate what is left of the study from the epochs that were measured and the runs at a time."""
    known = [state.epoch_seconds for state in states if state.epoch_seconds is not None]
    running = sum(word == "running" for word in now.values())
    if not known or not running:
        return ""
    mean = sum(known) / len(known)
    epochs = sum(s.epochs - s.epochs_done for s in states if now[s.label] in ("running", "waiting"))
    return f", about {duration(mean * epochs / running)} left"


def bar(done: int, total: int) -> str:
    """Draw how much is done."""
    full = round(BAR * done / total) if total else 0
    return f"[cyan]{'━' * full}[/][dim]{'━' * (BAR - full)}[/]"


def duration(seconds: float) -> str:
    """Write a time as people say it: 41 s, 3:20, 2 h 05."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02}"
