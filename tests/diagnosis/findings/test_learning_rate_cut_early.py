from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.learning_rate_cut_early import find

LR = [1e-3, 1e-3, 5e-4, 2.5e-4]


def test_a_cut_before_the_model_moved_is_named(make: MakeEvidence) -> None:
    plateau: dict[str, Any] = {"name": "plateau", "patience": 1, "threshold": 0.1}
    events = [(1, "learning_rate", "cut"), (2, "learning_rate", "cut")]

    finding = find(
        make({"lr": LR, "val/dice": [0.3, 0.31, 0.32, 0.33]}, events=events, scheduler=plateau)
    )

    assert finding is not None and finding.severity == "trouble"
    assert "By epoch 3 of 20 the rate had gone from 0.001 to 0.00025 (25 %) in 2 cuts" in (
        finding.evidence
    )
    assert "gained 0.020 since the first validation" in finding.evidence
    assert "scheduler.patience=8 scheduler.threshold=0.0005" in finding.remedy
    assert finding.numbers["gain"] == pytest.approx(0.02)


def test_a_cut_while_still_rising_is_named(make: MakeEvidence) -> None:
    cosine = {"name": "cosine", "t_0": 3}

    finding = find(make({"lr": LR, "val/dice": [0.3, 0.5, 0.6, 0.6]}, scheduler=cosine))

    assert finding is not None and "still learning" in finding.title
    assert "scheduler.t_0=20" in finding.remedy


def test_a_cut_of_a_model_that_moved_and_stood_still_is_right(make: MakeEvidence) -> None:
    lr = [1e-3] * 5 + [1e-4]

    assert find(make({"lr": lr, "val/dice": [0.3, 0.5, 0.60, 0.605, 0.61, 0.61]})) is None


def test_a_low_rate_late_in_the_run_is_right(make: MakeEvidence) -> None:
    short = {"epochs": 4}

    assert find(make({"lr": LR, "val/dice": [0.3, 0.31, 0.32, 0.33]}, train=short)) is None


def test_a_warm_restart_is_no_cut(make: MakeEvidence) -> None:
    cosine = {"name": "cosine", "t_0": 3}
    columns = {"lr": [*LR, 1e-3], "val/dice": [0.3, 0.5, 0.6, 0.6, 0.6]}

    assert find(make(columns, scheduler=cosine)) is None


def test_the_warm_up_is_no_cut(make: MakeEvidence) -> None:
    assert find(make({"lr": [1e-5, 1e-4, 1e-3], "val/dice": [0.3, 0.3, 0.3]})) is None


def test_nothing_is_said_without_validations(make: MakeEvidence) -> None:
    assert find(make({"lr": LR})) is None
    assert find(make()) is None
