from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.pinned_loss_term import find

BOTH: dict[str, Any] = {
    "phases": [{"epochs": [0, None], "weights": {"dice": 0.75, "variance": 0.25}}]
}
ORIGINAL = {**BOTH, "loss": {"variance": {"form": "original"}}}


def columns(variance: list[float], dice: float = 0.5, weight: float = 0.25) -> dict[str, Any]:
    num = len(variance)
    return {
        "val/dice": [0.6] * num,
        "val/labelled_fraction": [0.2] * num,
        "val/loss_dice": [dice] * num,
        "val/loss_variance": variance,
        "weight/dice": [0.75] * num,
        "weight/variance": [weight] * num,
    }


def test_the_diarys_variance_is_pinned_below_a_perfect_mask(make: MakeEvidence) -> None:
    finding = find(make(columns([0.99, 0.95, 0.97]), **ORIGINAL))

    assert finding is not None and finding.title == "The variance term is pinned at its floor"
    assert "between 0.950 and 0.990 with weight 0.25" in finding.evidence
    assert "lowest attainable value is 0.828" in finding.evidence
    assert "perfect mask of these tiles scores 1.206" in finding.evidence  # (1 - 0.16)**2 + 1/2
    assert "loss.variance.form=separation" in finding.remedy
    assert finding.numbers["perfect"] == pytest.approx(1.2056)


def test_a_separation_of_nothing_is_at_its_ceiling(make: MakeEvidence) -> None:
    finding = find(make(columns([0.99, 0.98, 0.97]), **BOTH))

    assert finding is not None and finding.title.endswith("ceiling")
    assert "where 1 is what a prediction without any information scores" in finding.evidence
    assert "Begin without variance" in finding.remedy


def test_the_only_term_at_its_ceiling_points_elsewhere(make: MakeEvidence) -> None:
    found = {"val/dice": [0.0] * 3, "val/loss_dice": [0.99] * 3, "weight/dice": [1.0] * 3}

    finding = find(make(found))

    assert finding is not None and "It is the only term" in finding.remedy


def test_a_term_that_moves_or_has_reached_its_aim_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(columns([0.99, 0.96, 0.94]), **BOTH)) is None
    assert find(make(columns([0.01, 0.01, 0.01], dice=0.001), **BOTH)) is None


def test_a_term_without_weight_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(columns([0.97] * 3, weight=0.0), **ORIGINAL)) is None


def test_nothing_is_said_before_three_validations(make: MakeEvidence) -> None:
    assert find(make(columns([0.97] * 2), **ORIGINAL)) is None
    assert find(make({"val/dice": [0.5] * 3}, **ORIGINAL)) is None
