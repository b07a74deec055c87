"""The one process pool: the same work on every item, in processes where that saves time."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

import torch

from vesuv.errors import InputError
from vesuv.runtime.machine import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_LEAST_SECONDS = 15.0
"""Remaining work below which processes are not started: starting them takes some seconds."""
_MOST_WORKERS = 8
"""Processes that are started unasked: each may hold the gigabytes of several volumes."""


def parallel_map(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    name: Callable[[Item], str] = str,
    workers: int | None = None,
    ordered: bool = False,
) -> Iterator[tuple[Item, Result]]:
    """Yield every item with its result.

    Args:
        work: Picklable; it runs on one thread in a process, and does not see Ctrl-C there.
        items: Picklable.
        name: Names an item in messages.
        workers: Processes; 1 is this one. None: the first item is worked on here, and its time
            decides whether the others go to as many processes as there are cores, at most 8.
        ordered: Yield in the order of the items; otherwise as the results come.

    Raises:
        InputError: A process was ended from outside; names the items that were in work.
        Exception: The first one that `work` raises, with a note that names the item.
    """
    remaining = list(items)
    if workers is None and remaining:
        item = remaining.pop(0)
        start = time.monotonic()
        with _named(name(item)):
            result = work(item)
        seconds = (time.monotonic() - start) * len(remaining)
        yield item, result
        workers = min(usable_cores(), _MOST_WORKERS) if seconds > _LEAST_SECONDS else 1
    workers = min(workers or 1, len(remaining))
    if workers <= 1:
        for item in remaining:
            with _named(name(item)):
                result = work(item)
            yield item, result
        return
    results = _in_processes(work, remaining, name, workers)
    for index, result in _in_order(results) if ordered else results:
        yield remaining[index], result


def _in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], name: Callable[[Item], str], workers: int
) -> Iterator[tuple[int, Result]]:
    """Keep so many processes busy; yield the index of an item and its result as they come."""
    # spawned, because forks of a process with threads may hang
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker)
    waiting = deque(enumerate(items))
    running: dict[Future[Result], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, item = waiting.popleft()
                running[pool.submit(work, item)] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                with _named(name(items[running[future]])):
                    result = future.result()
                yield running.pop(future), result
    except BrokenProcessPool:
        names = ", ".join(name(items[index]) for index in sorted(running.values()))
        raise InputError(
            f"a process was ended from outside while it worked on one of {names}, as happens when "
            "memory runs out; start fewer processes: with --workers where the command has it, "
            "else with taskset -c 0, which leaves one"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(results: Iterator[tuple[int, Result]]) -> Iterator[tuple[int, Result]]:
    """Hold results back until all that come before them were yielded."""
    held: dict[int, Result] = {}
    turn = 0
    for index, result in results:
        held[index] = result
        while turn in held:
            yield turn, held.pop(turn)
            turn += 1


@contextmanager
def _named(item: str) -> Iterator[None]:
    """Note on an exception which item it is from."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while working on {item}")
        raise


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(1)
