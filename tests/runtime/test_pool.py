from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from vesuv.errors import InputError
from vesuv.runtime.pool import over_cases

CASES: list[Any] = [SimpleNamespace(id=str(k)) for k in range(4)]


def process_of(case: Any) -> tuple[str, int]:
    return case.id, os.getpid()


def end_in_a_process(case: Any) -> str:
    if case.id != "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return case.id


def test_results_keep_the_order_and_little_work_stays_here() -> None:
    found = list(over_cases(process_of, CASES))

    assert found == [(case.id, os.getpid()) for case in CASES]


def test_processes_give_the_same_in_the_same_order() -> None:
    found = list(over_cases(process_of, CASES, workers=2))

    assert [name for name, _ in found] == ["0", "1", "2", "3"]
    assert found[0][1] == os.getpid()
    assert os.getpid() not in {process for _, process in found[1:]}


def test_a_process_that_is_ended_from_outside_is_a_sentence() -> None:
    with pytest.raises(InputError, match="a process was ended from outside while it scored"):
        list(over_cases(end_in_a_process, CASES, workers=2))
