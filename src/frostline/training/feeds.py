"""Loaders that several runs in lockstep take their batches from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import copy
from typing import TYPE_CHECKING, Any

import torch

from frostline.training.checkpoints import read_checkpoint
from frostline.training.network import share_trunk
from frostline.training.process_state import Generators

if TYPE_CHECKING:
    from frostline.training.lockstep import Seat

_NOT_LOADED = frozenset(
    (
        *("name", "project", "save_dir", "model", "pretrained", "freeze", "distill_model", "dis", "resume"),
        *("lr0", "lrf", "cos_lr", "epochs"),
    )
)
"""Arguments that may differ between runs on the same batches. What `epochs` does to mosaic counts by itself."""


class Feed:
    """A training loader and the runs that take their batches from it, all at the same place.

    Args:
        key: tells what it loads.
        loader: Ultralytics'.
        before: the generators before it was built, which draws from them.
        after: and afterwards.

    Attributes:
        members: the runs, by seat.
        opened: state of the loader's own generator when its iterator began, or None before that.
        served: batches since.
    """

    def __init__(self, key: str, loader: Any, before: Generators, after: Generators) -> None:
        self.key, self.loader, self.before, self.after = key, loader, before, after
        self.members: dict[Seat, FeedLoader] = {}
        self.opened: torch.Tensor | None = None
        self.served = 0
        self._started = False

    @property
    def used(self) -> bool:
        """Whether a run may still take a batch from it, or pass over it."""
        return bool(self.members) or not self._started

    def open_for(self, key: str, now: Generators) -> bool:
        """Tell whether a run that would build a loader now can have this one instead."""
        return self.key == key and not self._started and self.before.loads_like(now)

    def leave(self, seat: Seat) -> None:
        """Let a run go; the last one closes the loader."""
        if self.members.pop(seat, None) is not None and not self.members:
            self.loader.close()

    def serve(self) -> list[Seat]:
        """Load the next batch, give each run a copy, and return the runs that may go on."""
        gone = self._part()
        leader = next(iter(self.members.values()))
        before = leader.seat.state.generators
        before.put(leader.seat.device)
        began = time.perf_counter()
        batch, error = self._load(leader)
        share = (time.perf_counter() - began) / len(self.members)
        after, own = Generators.take(leader.seat.device), self.loader.generator.get_state()
        for seat, member in self.members.items():
            seat.charge(share)
            seat.state.generators = seat.state.generators.after(before, after)
            member.generator.set_state(own)
            member.restarts = False
            member.inbox = error if error is not None else copied(batch)
        return [*gone, *self.members]

    def _load(self, leader: FeedLoader) -> tuple[Any, Exception | None]:
        self._started = True
        try:
            self.loader.generator.set_state(leader.generator.get_state())
            if leader.restarts:
                self.loader.reset()
            if self.loader.iterator is None:
                self.opened, self.served = self.loader.generator.get_state(), 0
                self.loader.iterator = self.loader._get_iterator()
            batch = next(self.loader.iterator)
            self.served += 1
            return batch, None
        except Exception as error:  # each run has it raised where it waits
            return None, error

    def _part(self) -> list[Seat]:
        """Let the runs go on by themselves that would not have drawn what the others draw.

        One that does an epoch again, as after a NaN, is behind: the others stay.
        """
        furthest = max(member.trainer.epoch for member in self.members.values())
        groups: list[list[FeedLoader]] = []
        for member in self.members.values():
            same = next((group for group in groups if group[0].draws_like(member)), None)
            if same is None:
                groups.append(same := [])
            same.append(member)
        kept = max(groups, key=lambda group: (group[0].trainer.epoch == furthest, len(group)))
        gone = [member for member in self.members.values() if member not in kept]
        for member in gone:
            member.part()
            del self.members[member.seat]
        return [member.seat for member in gone]


class FeedLoader:
    """What a run's trainer holds for its training loader.

    Args:
        seat: the run's.
        trainer: the run's.
        feed: where batches come from.
        build: makes a loader of the run's own.

    Attributes:
        generator: the loader's own generator, as it is for this run.
        restarts: the run asked for the loader to begin anew.
        inbox: the batch that it waited for, or why there is none.
    """

    def __init__(self, seat: Seat, trainer: Any, feed: Feed, build: Callable[[], Any]) -> None:
        self.seat, self.trainer = seat, trainer
        self._feed: Feed | None = feed
        self._source = feed.loader
        self._build = build
        self.generator = _same_generator(feed.loader.generator)
        self.restarts = False
        self.inbox: Any = None
        feed.members[seat] = self

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return len(self._source)

    def __getattr__(self, name: str) -> Any:
        """Give what else the loader has."""
        return getattr(self.__dict__["_source"], name)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the batches of an epoch, waiting for the other runs before each."""
        for _ in range(len(self)):
            yield self._next()

    def _next(self) -> dict[str, Any]:
        if self._feed is not None:
            self.seat.wait(self)
        if self._feed is not None:
            batch, self.inbox = self.inbox, None
            if isinstance(batch, Exception):
                raise batch
            return batch  # type: ignore[no-any-return]
        if self._source.iterator is None:
            self._source.iterator = self._source._get_iterator()
        return next(self._source.iterator)  # type: ignore[no-any-return]

    def reset(self) -> None:
        """Begin the loader anew with the next batch."""
        if self._feed is None:
            self._source.reset()
        else:
            self.restarts = True

    def close(self) -> None:
        """Take no more batches."""
        if self._feed is None:
            self._source.close()
        else:
            self._feed.leave(self.seat)

    def draws_like(self, other: FeedLoader) -> bool:
        """Tell whether the next batch of two runs would be the same."""
        if (self.trainer.epoch, self.restarts) != (other.trainer.epoch, other.restarts):
            return False
        if not torch.equal(self.generator.get_state(), other.generator.get_state()):
            return False
        # Loader processes have generators of their own, seeded by the loader's.
        return self._source.num_workers > 0 or self.seat.state.generators.loads_like(other.seat.state.generators)

    def part(self) -> None:
        """Go on with a loader of one's own, which stands where the shared one does for this run.

        With loader processes, which have loaded ahead, it begins anew instead.
        """
        assert self._feed is not None
        feed, before = self._feed, self.seat.state.generators
        self.seat.state.put(self.seat.device)
        own = self._build()
        before.put(self.seat.device)  # alone, nothing would have been built now
        if own.num_workers == 0:
            self._catch_up(feed, own)
        args = self.trainer.args
        if args.close_mosaic and self.trainer.epoch >= self.trainer.epochs - args.close_mosaic:
            own.dataset.mosaic = False
            own.dataset.close_mosaic(hyp=copy(args))
        self.seat.state.generators = Generators.take(self.seat.device)
        self._feed, self._source, self.generator = None, own, own.generator
        share_trunk(self.trainer.detector, None)

    def _catch_up(self, feed: Feed, own: Any) -> None:
        if self.restarts or feed.opened is None:
            own.generator.set_state(self.generator.get_state())
        else:
            own.generator.set_state(feed.opened)
            own.iterator = own._get_iterator()
            for _ in range(feed.served):
                own.iterator._next_index()
        theirs, ours = feed.loader.dataset, own.dataset
        ours.buffer = list(theirs.buffer)
        for index in ours.buffer:
            ours.ims[index], ours.im_hw0[index], ours.im_hw[index] = (
                theirs.ims[index], theirs.im_hw0[index], theirs.im_hw[index],
            )  # fmt: skip


class SharedPasses:
    """A validation loader that runs pass over in turn, one whole pass at a time."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __len__(self) -> int:
        """Return the batches of a pass."""
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        """Give what else the loader has."""
        return getattr(self.__dict__["_loader"], name)

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of a pass; after one that was broken off, the next begins anew."""
        done = False
        try:
            yield from self._loader
            done = True
        finally:
            if not done:
                self._loader.reset()

    def close(self) -> None:
        """Do nothing: other runs may pass over it yet, and it closes with the last of them."""


def loading_key(trainer: Any, mode: str, what: tuple[Any, ...]) -> str:
    """Write down everything that a loader's batches depend on beside random numbers."""
    args = {key: value for key, value in vars(trainer.args).items() if key not in _NOT_LOADED}
    closes = max(trainer.epochs - trainer.args.close_mosaic, 0) if trainer.args.close_mosaic else None
    # looked through before it was resumed
    begins = read_checkpoint(trainer.args.model, trust=True)["epoch"] if trainer.resume else -1
    job = trainer.job
    stride = int(trainer.detector.stride.max())
    return repr(
        (mode, what, closes, begins, stride, job.direct_mosaic, trainer.pixels, sorted(args.items()), trainer.data)
    )


def copied(batch: dict[str, Any]) -> dict[str, Any]:
    """Copy a batch, so that nothing that one run does to its own reaches another's."""
    return {
        key: value.clone() if isinstance(value, torch.Tensor) else list(value) if isinstance(value, list) else value
        for key, value in batch.items()
    }


def _same_generator(one: torch.Generator) -> torch.Generator:
    made = torch.Generator(device=one.device)
    made.manual_seed(one.initial_seed())
    made.set_state(one.get_state())
    return made
