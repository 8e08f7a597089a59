"""Runs in lockstep: several trainings in one process that take turns batch by batch, on batches that are loaded once.

Every run is a greenlet: it has a stack of its own and gives up its turn in one place only, where it asks for the next
training batch. What it takes for its own in the process (random generators, determinism) is kept for it meanwhile, so
that it computes what it would alone. A loader is shared only as long as each of its runs would have drawn the very
same numbers from it: that is compared before every batch, and a run that would not goes on by itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from greenlet import getcurrent, greenlet

from frostline.training.feeds import Feed, FeedLoader, SharedPasses, loading_key
from frostline.training.process_state import Generators, ProcessState
from frostline.training.trunk import Trunk

T = TypeVar("T")


class Seat:
    """One run's place among runs in lockstep.

    Attributes:
        name: of the run.
        names: of all runs that take turns.
        trunk: the frozen layers that they have in common.
        device: `cpu`, `mps` or a GPU's number.
        state: the process's, as it is for this run while others have their turn.
        waits: the loader that it waits at for a batch, or None.
    """

    def __init__(self, name: str, pool: Pool[Any], work: Callable[[Seat], Any]) -> None:
        self.name = name
        self.names = pool.names
        self.trunk = pool.trunk
        self.device = pool.device
        self.state: ProcessState = pool.outside
        self.waits: FeedLoader | None = None
        self.outcome: Any = None
        self.error: BaseException | None = None
        self._pool = pool
        self._work = work
        self._stack = greenlet(self._live)
        self._seconds = 0.0
        self._turn: float | None = None
        self._since = time.perf_counter()

    def _live(self) -> None:
        try:
            self.outcome = self._work(self)
        except BaseException as error:  # told by the pool
            self.error = error

    @property
    def over(self) -> bool:
        """Whether the run has ended, well or not."""
        return bool(self._stack.dead)

    @property
    def begun(self) -> bool:
        """Whether it has had a turn."""
        return bool(self._stack) or self.over

    def turn(self, stop: BaseException | None = None) -> None:
        """Let the run go on until it waits for a batch or ends.

        Args:
            stop: raised where it waits.
        """
        self.state.put(self.device)
        self.waits, self._turn = None, time.perf_counter()
        if stop is None:
            self._stack.switch()
        else:
            self._stack.throw(stop)
        self._seconds, self._turn = self.seconds(), None
        self.state = ProcessState.take(self.device)

    def wait(self, loader: FeedLoader) -> None:
        """Give up the turn until there is a batch. To be called within the run."""
        assert getcurrent() is self._stack
        self.waits = loader
        self._pool.hub.switch()

    def charge(self, seconds: float) -> None:
        """Count seconds that were spent for this run outside its turns."""
        self._seconds += seconds

    def seconds(self) -> float:
        """Return the seconds that the run took: its turns, and its part of what was done for several."""
        return self._seconds + (0.0 if self._turn is None else time.perf_counter() - self._turn)

    def away(self) -> float:
        """Return the seconds since it was seated that it did not take."""
        return time.perf_counter() - self._since - self.seconds()

    def loader(self, trainer: Any, mode: str, what: tuple[Any, ...], build: Callable[[], Any]) -> Any:
        """Return a loader for a run's trainer: the one of others where it loads the same, else a new one.

        Args:
            trainer: the run's; its arguments and its data tell what it loads.
            mode: `train` or `val`.
            what: whatever else tells.
            build: makes the run's own.
        """
        key = loading_key(trainer, mode, what)
        now = Generators.take(self.device)
        feed = next((one for one in self._pool.feeds if one.open_for(key, now)), None)
        if feed is None:
            feed = Feed(key, build(), now, Generators.take(self.device))
            self._pool.feeds.append(feed)
        else:
            now.after(feed.before, feed.after).put(self.device)
        if mode == "val":
            return SharedPasses(feed.loader)
        self._pool.leave(self)
        return FeedLoader(self, trainer, feed, build)


class Pool(Generic[T]):
    """Runs that take turns.

    Args:
        names: of the runs, in the order of their turns.
        device: `cpu`, `mps` or a GPU's number.
    """

    def __init__(self, names: tuple[str, ...], device: str) -> None:
        self.names = names
        self.device = device
        self.trunk = Trunk()
        self.feeds: list[Feed] = []
        self.hub = getcurrent()
        self.outside = ProcessState.take(device)

    def run(self, works: Mapping[str, Callable[[Seat], T]]) -> dict[str, T | Exception]:
        """Carry runs out, all of them to their end. One that raises does not stop the others.

        Args:
            works: by name; each is called with its seat.

        Returns:
            By name, what each returned or raised.

        Raises:
            KeyboardInterrupt: it was raised in one; every other has had it raised where it waited, too.
        """
        seats = [Seat(name, self, works[name]) for name in self.names]
        ready = deque(seats)
        try:
            while ready:
                seat = ready.popleft()
                seat.turn()
                if seat.over:
                    self.leave(seat)
                    if seat.error is not None and not isinstance(seat.error, Exception):
                        raise seat.error
                if not ready:
                    ready.extend(self._serve())
        except BaseException:
            for seat in seats:
                if seat.begun and not seat.over:
                    seat.turn(stop=KeyboardInterrupt())
            raise
        finally:
            self.trunk.clear()
            for feed in self.feeds:
                feed.loader.close()
            self.outside.put(self.device)
        return {seat.name: seat.outcome if seat.error is None else seat.error for seat in seats}  # type: ignore[misc]

    def _serve(self) -> list[Seat]:
        """Load a batch for the runs at one loader, and return those that may go on: all others wait, too."""
        self.trunk.clear()
        feed = next((one for one in self.feeds if one.members), None)
        return [] if feed is None else feed.serve()

    def leave(self, seat: Seat) -> None:
        """Let a run leave the loader that it takes part in, and forget loaders that nobody uses."""
        for feed in self.feeds:
            feed.leave(seat)
        self.feeds = [one for one in self.feeds if one.used]
