"""The same work on every case, in processes where the first case shows that it pays."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import torch

from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.runtime.machine import usable_cores

Result = TypeVar("Result")

_PAYS = 20.0  # seconds of work left, below which starting processes costs more than it saves
_MOST_WORKERS = 8  # each holds a case's probabilities and what is made of them


def over_cases(
    work: Callable[[StoredCase], Result], cases: Sequence[StoredCase], workers: int | None = None
) -> Iterator[Result]:
    """Yield the results in the cases' order.

    Args:
        work: Picklable.
        cases: At least one.
        workers: Processes for all but the first case; None: chosen by the time that it takes.

    Raises:
        InputError: A process was ended from outside.
    """
    start = time.monotonic()
    yield work(cases[0])
    rest = cases[1:]
    if workers is None:
        pays = (time.monotonic() - start) * len(rest) > _PAYS
        workers = min(usable_cores(), _MOST_WORKERS) if pays else 1
    if workers == 1 or not rest:
        yield from map(work, rest)
        return
    # spawned, because forks of a process with threads may hang
    pool = ProcessPoolExecutor(
        min(workers, len(rest)), get_context("spawn"), initializer=_start_worker
    )
    try:
        yield from pool.map(work, rest)
    except BrokenProcessPool:
        raise InputError(
            "a process was ended from outside while it scored held-out cases, as a machine short "
            "of memory does; try fewer at a time: taskset -c 0 leaves one process"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(1)
