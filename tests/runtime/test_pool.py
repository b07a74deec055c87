from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace
from vesuv.runtime import pool
from vesuv.runtime.pool import ProcessPool, parallel_map

ITEMS = ["0", "1", "2", "3"]


def process_of(_item: str) -> int:
    return os.getpid()


def kill_own_process(item: str) -> str:
    if item != "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def wait_for_last_item(last_item_file: Path, item: str) -> str:
    if item == "3":
        last_item_file.touch()
    while item == "0" and not last_item_file.exists():
        time.sleep(0.01)
    return item


def fail_on_two(item: str) -> str:
    if item == "2":
        raise KeyError("absent")
    return item


def write_for_a_minute(folder: Path, item: str) -> None:
    with atomic_replace(folder / item) as temporary:
        temporary.touch()
        time.sleep(60.0)


def interrupt_when_both_write(folder: Path) -> None:
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def process_state(_item: str) -> tuple[int, int, bool]:
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return os.getpid(), torch.get_num_threads(), ignored


@pytest.fixture(scope="module")
def process_facts() -> list[tuple[str, tuple[int, int, bool]]]:
    """Facts about two processes, started once because the start takes seconds."""
    return list(parallel_map(process_state, ITEMS, workers=2, ordered=True))


def test_results_keep_the_order_and_little_work_stays_in_this_process() -> None:
    results = list(parallel_map(process_of, ITEMS))

    assert results == [(item, os.getpid()) for item in ITEMS]


def test_processes_work_on_every_item(
    process_facts: list[tuple[str, tuple[int, int, bool]]],
) -> None:
    assert [item for item, _ in process_facts] == ITEMS
    assert os.getpid() not in {process for _, (process, _, _) in process_facts}


def test_a_process_has_one_thread_and_ignores_interrupts(
    process_facts: list[tuple[str, tuple[int, int, bool]]],
) -> None:
    assert [rest for _, (_, *rest) in process_facts] == [[1, True]] * 4


@pytest.mark.slow
def test_a_pool_keeps_its_processes_for_the_next_call() -> None:
    with ProcessPool(2) as processes:
        used = [{process for _, process in processes.map(process_of, ITEMS)} for _ in range(3)]

    assert len(set().union(*used)) <= 2
    assert os.getpid() not in used[0]


def test_one_worker_is_this_process() -> None:
    assert {process for _, process in parallel_map(process_of, ITEMS, workers=1)} == {os.getpid()}


def test_no_items_give_no_results() -> None:
    assert list(parallel_map(process_of, [])) == list(parallel_map(process_of, [], workers=2)) == []


@pytest.mark.slow
def test_results_come_in_the_order_of_completion(tmp_path: Path) -> None:
    work = partial(wait_for_last_item, tmp_path / "last")

    items = [item for item, _ in parallel_map(work, ITEMS, workers=2)]

    assert items[:2] == ["1", "2"]
    assert sorted(items) == ITEMS


class FirstItemLast:
    """Replaces the process pool: completes the first item last."""

    def __init__(self) -> None:
        self.workers: list[int] = []

    def __call__(
        self, _pool: Any, work: Any, items: Sequence[str], _name: Any, workers: int
    ) -> Iterator[tuple[int, Any]]:
        self.workers.append(workers)
        for index in [*range(1, len(items)), 0]:
            yield index, work(items[index])


@pytest.mark.parametrize(("ordered", "order"), [(False, "1230"), (True, "0123")])
def test_results_keep_the_order_on_request(
    monkeypatch: pytest.MonkeyPatch, ordered: bool, order: str
) -> None:
    monkeypatch.setattr(pool, "_in_processes", FirstItemLast())

    results = list(parallel_map(str.strip, ITEMS, workers=2, ordered=ordered))

    assert results == [(item, item) for item in order]


@pytest.mark.parametrize(("min_seconds", "workers"), [(-1.0, [2]), (15.0, [])])
def test_the_time_of_the_first_item_decides_on_processes(
    monkeypatch: pytest.MonkeyPatch, min_seconds: float, workers: list[int]
) -> None:
    processes = FirstItemLast()
    monkeypatch.setattr(pool, "usable_cores", lambda: 2)
    monkeypatch.setattr(pool, "_MIN_SECONDS", min_seconds)
    monkeypatch.setattr(pool, "_in_processes", processes)

    items = [item for item, _ in parallel_map(str.strip, ITEMS)]

    assert processes.workers == workers
    assert items[0] == "0"
    assert sorted(items) == ITEMS


def test_a_killed_process_gives_an_error_that_names_the_items() -> None:
    with pytest.raises(
        InputError,
        match=r"a process was ended from outside while it worked on one of case \d.* --workers",
    ):
        list(parallel_map(kill_own_process, ITEMS, name="case {}".format, workers=2))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [None, 1, 2])
def test_an_exception_names_its_item(workers: int | None) -> None:
    with pytest.raises(KeyError, match="absent") as caught:
        list(parallel_map(fail_on_two, ITEMS, name="case {}".format, workers=workers))

    traceback_text = "".join(traceback.format_exception(caught.value))
    assert "while working on case 2" in traceback_text
    assert "in fail_on_two" in traceback_text  # the traceback of the process


@pytest.mark.slow
def test_a_caller_that_stops_early_ends_the_processes() -> None:
    results = parallel_map(process_of, ITEMS, workers=2)
    _, process = next(results)

    results.close()

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also where the caller of the tests ignores it (`pytest &`)."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_processes_at_once_and_they_clean_up(tmp_path: Path) -> None:
    start = time.monotonic()
    threading.Thread(target=interrupt_when_both_write, args=(tmp_path,)).start()

    with pytest.raises(KeyboardInterrupt):
        list(parallel_map(partial(write_for_a_minute, tmp_path), ["a", "b"], workers=2))

    assert time.monotonic() - start < 50.0
    assert list(tmp_path.iterdir()) == []
