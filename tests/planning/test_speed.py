from __future__ import annotations

import os

import pytest
import torch

from vesuv.planning.speed import timing_doubt
from vesuv.runtime.machine import Machine


def doubt(
    monkeypatch: pytest.MonkeyPatch, load: float, cores: int, threads: int, device: str = "cpu"
) -> str | None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    return timing_doubt(Machine(torch.device(device), "float32", 0, threads, "worker"))


def test_steps_timed_beside_other_programs_are_not_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sentence = doubt(monkeypatch, 2.34, cores=2, threads=2)

    assert sentence is not None
    assert sentence.startswith("the load average is 2.3 on 2 cores: other programs slow down")


@pytest.mark.parametrize(
    ("load", "cores", "threads", "device"),
    [(0.9, 2, 2, "cpu"), (13.9, 16, 4, "cpu"), (60.0, 16, 8, "cuda")],
)
def test_cores_that_are_left_to_training_are_enough(
    monkeypatch: pytest.MonkeyPatch, load: float, cores: int, threads: int, device: str
) -> None:
    assert doubt(monkeypatch, load, cores, threads, device) is None


def test_all_cores_of_training_have_to_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doubt(monkeypatch, 14.1, cores=16, threads=4) is not None
