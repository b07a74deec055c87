from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.phases_not_comparable import find

TWO: dict[str, Any] = {
    "phases": [
        {"epochs": [0, 0], "weights": {"dice": 1.0}},
        {"epochs": [1, None], "weights": {"dice": 0.8, "focal": 0.2}},
    ]
}


def columns(focal: float) -> dict[str, Any]:
    return {
        "val/dice": [0.60, 0.59],
        "val/loss_dice": [0.40, 0.41],
        "val/loss_focal": [focal, focal],
        "weight/dice": [1.0, 0.8],
        "weight/focal": [0.0, 0.2],
    }


def test_a_loss_that_fell_by_its_weights_is_named(make: MakeEvidence) -> None:
    finding = find(make(columns(0.05), **TWO))

    assert finding is not None and finding.epochs == (0, 1)
    assert "total loss of 0.4100 under the weights of epoch 0 and of 0.3380" in finding.evidence
    assert "-18% without any learning, while dice went from 0.6000 to 0.5900" in finding.evidence
    assert finding.numbers["shift"] == pytest.approx(0.1756, abs=1e-4)


def test_a_phase_that_hardly_moves_the_loss_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(columns(0.30), **TWO)) is None


def test_one_phase_is_no_finding(make: MakeEvidence) -> None:
    same = columns(0.05) | {"weight/dice": [0.8, 0.8], "weight/focal": [0.2, 0.2]}

    assert find(make(same, **TWO)) is None


def test_nothing_is_said_without_the_terms(make: MakeEvidence) -> None:
    found = columns(0.05)
    del found["val/loss_focal"]

    assert find(make(found, **TWO)) is None
    assert find(make()) is None
