"""Process pool: applies a function to all items, in several processes where that saves time."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from types import FrameType
from typing import TypeVar

import torch

from vesuv.errors import InputError
from vesuv.runtime.machine import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_MIN_SECONDS = 15.0
"""Remaining work below which no processes are started: their start takes some seconds."""
_MAX_WORKERS = 8
"""Default limit of processes: each may hold several volumes of gigabytes."""


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
        work: Picklable function; in a process it runs on one thread, ignores Ctrl-C, and is
            unwound by SIGTERM, so that it removes its temporary files.
        items: Picklable.
        name: Returns the name of an item for messages.
        workers: Number of processes; 1: this process. None: the first item runs in this process,
            and its duration decides whether the others run in one process per core, at most 8.
        ordered: Yield in the order of the items; otherwise in the order of completion.

    Raises:
        InputError: A process was ended from outside; the message names the items in progress.
        Exception: The first exception of `work`, with a note that names the item.
    """
    with ProcessPool(workers) as pool:
        yield from pool.map(work, items, name=name, ordered=ordered)


class ProcessPool:
    """Processes that are started once, by the first call of `map` that is long enough.

    Args:
        workers: As for `parallel_map`.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(self, *_fault: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def map(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        /,
        *,
        name: Callable[[Item], str] = str,
        ordered: bool = False,
    ) -> Iterator[tuple[Item, Result]]:
        """Yield every item with its result; arguments and errors are those of `parallel_map`."""
        remaining = list(items)
        if self._workers is None and remaining:
            item = remaining.pop(0)
            start = time.monotonic()
            result = _work_here(work, item, name)
            seconds = (time.monotonic() - start) * len(remaining)
            yield item, result
            if seconds > _MIN_SECONDS:
                self._workers = min(usable_cores(), _MAX_WORKERS)
        workers = self._workers or 1
        if self._executor is None:
            workers = min(workers, len(remaining))
        if workers <= 1:
            for item in remaining:
                yield item, _work_here(work, item, name)
            return
        if self._executor is None:  # spawn, because a fork of a process with threads may hang
            self._workers = workers
            self._executor = ProcessPoolExecutor(
                workers, get_context("spawn"), initializer=_start_worker
            )
        results = _in_processes(self._executor, work, remaining, name, workers)
        for index, result in _in_order(results) if ordered else results:
            yield remaining[index], result


def _work_here(work: Callable[[Item], Result], item: Item, name: Callable[[Item], str]) -> Result:
    with _note_item(name(item)):
        return work(item)


def _in_processes(
    pool: ProcessPoolExecutor,
    work: Callable[[Item], Result],
    items: Sequence[Item],
    name: Callable[[Item], str],
    workers: int,
) -> Iterator[tuple[int, Result]]:
    """Yield the index of an item and its result, in the order of completion."""
    call = partial(_call, work)
    waiting = deque(enumerate(items))
    running: dict[Future[Result], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, item = waiting.popleft()
                running[pool.submit(call, item)] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                with _note_item(name(items[running[future]])):
                    result = future.result()
                yield running.pop(future), result
    except BrokenProcessPool:
        names = ", ".join(name(items[index]) for index in sorted(running.values()))
        raise InputError(
            f"a process was ended from outside while it worked on one of {names}, as happens when "
            "memory runs out; start fewer processes: with --workers where the command has it, "
            "else with taskset -c 0, which leaves one"
        ) from None
    except (KeyboardInterrupt, GeneratorExit):  # the results are not wanted any more
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise


def _in_order(results: Iterator[tuple[int, Result]]) -> Iterator[tuple[int, Result]]:
    """Yield results by index; a result that comes early waits for those before it."""
    waiting: dict[int, Result] = {}
    next_index = 0
    for index, result in results:
        waiting[index] = result
        while next_index in waiting:
            yield next_index, waiting.pop(next_index)
            next_index += 1


@contextmanager
def _note_item(item: str) -> Iterator[None]:
    """Add a note with the item's name to an exception."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while working on {item}")
        raise


class _Terminated(BaseException):
    """SIGTERM came while a worker process worked on an item."""


_is_working = False
"""Whether this worker process works on an item."""


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    signal.signal(signal.SIGTERM, _terminate)
    torch.set_num_threads(1)


def _call(work: Callable[[Item], Result], item: Item) -> Result:
    """Work on an item in a worker process; SIGTERM ends the process when it has cleaned up."""
    global _is_working
    try:
        _is_working = True
        return work(item)
    except _Terminated:
        os._exit(128 + signal.SIGTERM)
    finally:
        _is_working = False


def _terminate(number: int, _frame: FrameType | None) -> None:
    if not _is_working:
        os._exit(128 + number)
    signal.signal(number, signal.SIG_IGN)
    raise _Terminated
