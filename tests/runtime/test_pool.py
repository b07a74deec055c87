from __future__ import annotations

import os
import signal
import time
import traceback
from functools import partial
from pathlib import Path

import pytest
import torch

from vesuv.errors import InputError
from vesuv.runtime import pool
from vesuv.runtime.pool import parallel_map

ITEMS = ["0", "1", "2", "3"]


def process_of(_item: str) -> int:
    return os.getpid()


def end_in_a_process(item: str) -> str:
    if item != "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def outlast_the_others(last_is_here: Path, item: str) -> str:
    if item == "3":
        last_is_here.touch()
    while item == "0" and not last_is_here.exists():
        time.sleep(0.01)
    return item


def fail_on_two(item: str) -> str:
    if item == "2":
        raise KeyError("absent")
    return item


def surroundings(_item: str) -> tuple[int, bool]:
    return torch.get_num_threads(), signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_results_keep_the_order_and_little_work_stays_here() -> None:
    results = list(parallel_map(process_of, ITEMS))

    assert results == [(item, os.getpid()) for item in ITEMS]


def test_processes_give_the_same_in_the_same_order() -> None:
    results = list(parallel_map(process_of, ITEMS, workers=2, ordered=True))

    assert [item for item, _ in results] == ITEMS
    assert os.getpid() not in {process for _, process in results}


def test_one_worker_is_this_process() -> None:
    assert {process for _, process in parallel_map(process_of, ITEMS, workers=1)} == {os.getpid()}


def test_no_item_is_no_work() -> None:
    assert list(parallel_map(process_of, [])) == list(parallel_map(process_of, [], workers=2)) == []


@pytest.mark.parametrize(("ordered", "first_two"), [(False, ["1", "2"]), (True, ["0", "1"])])
def test_results_come_as_they_are_finished_unless_order_is_asked_for(
    tmp_path: Path, ordered: bool, first_two: list[str]
) -> None:
    work = partial(outlast_the_others, tmp_path / "last")

    items = [item for item, _ in parallel_map(work, ITEMS, workers=2, ordered=ordered)]

    assert items[:2] == first_two
    assert sorted(items) == ITEMS


def test_the_time_of_the_first_item_decides_on_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "usable_cores", lambda: 2)
    monkeypatch.setattr(pool, "_LEAST_SECONDS", -1.0)

    (_, first), *others = parallel_map(process_of, ITEMS)

    assert first == os.getpid()
    assert os.getpid() not in {process for _, process in others}


def test_a_process_has_one_thread_and_leaves_interrupts_to_the_parent() -> None:
    results = [result for _, result in parallel_map(surroundings, ITEMS, workers=2)]

    assert results == [(1, True)] * 4


def test_a_process_that_is_ended_from_outside_is_a_sentence() -> None:
    with pytest.raises(
        InputError,
        match=r"a process was ended from outside while it worked on one of case \d.* --workers",
    ):
        list(parallel_map(end_in_a_process, ITEMS, name="case {}".format, workers=2))


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_an_exception_names_its_item(workers: int | None) -> None:
    with pytest.raises(KeyError, match="absent") as caught:
        list(parallel_map(fail_on_two, ITEMS, name="case {}".format, workers=workers))

    shown = "".join(traceback.format_exception(caught.value))
    assert "while working on case 2" in shown
    assert "in fail_on_two" in shown  # where it happened, in the other process too


def test_a_caller_that_stops_early_ends_the_processes() -> None:
    results = parallel_map(process_of, ITEMS, workers=2)
    _, process = next(results)

    results.close()

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
