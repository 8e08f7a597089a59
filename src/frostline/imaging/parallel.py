"""The same function over many items in worker processes, with failures kept apart from results."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.forkserver import ensure_running
from typing import TypeVar

from frostline.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_ONE_THREAD = {"OPENCV_FOR_THREADS_NUM": "1", "OPENBLAS_NUM_THREADS": "1", "TIFFFILE_NUM_THREADS": "1"}
"""Read by OpenCV, NumPy and tifffile when they are imported: the other cores have workers of their own."""

SPAWN_PAYS_FROM = 24
"""Fewer items than this are done in this process, as starting workers takes longer than the work."""


def worker_count(workers: int | None, items: int) -> int:
    """Say how many processes to use.

    Args:
        workers: what the user asked for; None for one a core that this process may run on.
        items: how many items there are.

    Raises:
        InputError: if fewer than one was asked for.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")
    if workers is not None:
        return max(1, min(workers, items))
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return cores if items >= SPAWN_PAYS_FROM else 1


def each(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None, preload: str = ""
) -> Iterator[tuple[Item, Result | Exception]]:
    """Call a function on every item and give each result as it comes, in any order.

    Args:
        function: at the top level of a module, as workers find it by its name.
        items: what can be pickled.
        workers: as `worker_count`. With one, everything happens in this process.
        preload: as `worker_pool`.

    Yields:
        An item with its result, or with the exception that it raised: one bad item never ends the batch. Items whose
        worker was killed come with a RuntimeError.
    """
    count = worker_count(workers, len(items))
    if count == 1:
        for item in items:
            yield item, _attempt(function, item)
        return
    pool = worker_pool(count, preload)
    try:
        waiting: dict[Future[Result | Exception], Item] = {
            pool.submit(_attempt, function, item): item for item in items
        }
        for future in as_completed(waiting):
            yield waiting[future], _outcome(future)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def worker_pool(count: int, preload: str = "") -> ProcessPoolExecutor:
    """Start worker processes that leave Ctrl-C to this one, end with it, and have one thread each.

    On Linux they are forked from a fresh process that does nothing but import; not from this one, as a fork copies
    locks that OpenCV's, numba's and PyTorch's threads may hold. It is started once, so the first pool decides.
    Elsewhere workers are started from nothing, as forking is not safe there.

    Args:
        count: how many.
        preload: a module that is imported before workers are forked, so that they share its memory.
    """
    if sys.platform != "linux":
        return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    context = multiprocessing.get_context("forkserver")
    # The command line is what a worker imports again as its main module.
    again = [name for name in (__name__, "frostline.cli") if name in sys.modules]
    context.set_forkserver_preload([preload, *again] if preload else again)
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)


def _outcome(future: Future[Result | Exception]) -> Result | Exception:
    try:
        return future.result()
    except BrokenProcessPool:
        return RuntimeError("a worker process ended unexpectedly (out of memory?); run again with fewer workers")


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        return function(item)
    except Exception as error:
        return error


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and the cores to the other workers; end when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(_ONE_THREAD)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger().addHandler(logging.NullHandler())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # a killed parent tells nobody, and its workers would wait for work for ever
        os._exit(1)
