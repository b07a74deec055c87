from pathlib import Path
from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.objectives import compare

V9: dict[str, Any] = {
    "phases": [
        {"epochs": [0, 0], "weights": {"dice": 1.0, "variance": 0.0}},
        {"epochs": [1, None], "weights": {"dice": 0.8, "variance": 0.2}},
    ]
}


def columns(dice: float, variance: float) -> dict[str, Any]:
    return {
        "val/dice": [1 - dice],
        "val/loss_dice": [dice],
        "val/loss_variance": [variance],
        "weight/dice": [1.0],
        "weight/variance": [0.25 if variance > 0.5 else 0.0],
    }


def test_a_better_loss_of_another_function_is_unmasked(make: MakeEvidence) -> None:
    v8 = make(columns(0.41, 0.95), path=Path("v8"))
    v9 = make(columns(0.402, 0.1), path=Path("v9"), **V9)

    finding = compare([v8, v9])

    assert finding is not None and finding.title == "v8 and v9 minimise different functions"
    assert "lowest validation losses, 0.6475 and 0.4020, are not comparable" in finding.evidence
    assert "best dice is 0.5900 (epoch 0) and 0.5980 (epoch 0)." in finding.evidence
    assert "dice 1 from epoch 0, against dice 1 from epoch 0 then dice 0.8, variance 0.2" in (
        finding.evidence
    )
    assert "validate_distribution --run A B" in finding.remedy
    assert finding.numbers == pytest.approx({"best_dice_1": 0.59, "best_dice_2": 0.598})


def test_one_objective_on_the_same_tiles_may_be_compared(make: MakeEvidence) -> None:
    other_rate = make(optimizer={"name": "adamw", "lr": 1e-4})

    assert compare([make(), other_rate, make(loss={"focal": {"alpha": 0.1}})]) is None


def test_weights_of_zero_change_no_objective(make: MakeEvidence) -> None:
    with_zero = {"phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "focal": 0.0}}]}

    assert compare([make(), make(**with_zero)]) is None


def test_another_threshold_or_other_cases_spoil_the_measure_too(make: MakeEvidence) -> None:
    first = make(facts={"validation_cases": ["a"]})
    other = make(facts={"validation_cases": ["b"]}, validation={"threshold": 0.8})

    finding = compare([first, other])

    assert finding is not None and "are judged on different tiles" in finding.title
    assert "validation.threshold 0.5 and 0.8; other validation cases" in finding.evidence
    assert "evaluate --predictions A B" in finding.remedy
    assert "unknown and unknown" in finding.evidence


def test_a_loss_setting_that_is_used_is_part_of_the_objective(make: MakeEvidence) -> None:
    focal = {"phases": [{"epochs": [0, None], "weights": {"focal": 1.0}}]}

    finding = compare([make(**focal), make(**focal, loss={"focal": {"alpha": 0.1}})])

    assert finding is not None and "They differ in loss." in finding.evidence
