from collections.abc import Sequence
from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence, MakeHistogram
from vesuv.diagnosis.findings.lopsided_precision_recall import find


def columns(precision: float, recall: float, predicted: float, labelled: float) -> dict[str, Any]:
    values: dict[str, Sequence[float]] = {
        "val/precision": [precision] * 5,
        "val/recall": [recall] * 5,
        "val/predicted_fraction": [predicted] * 5,
        "val/labelled_fraction": [labelled] * 5,
        "val/dice": [0.729] * 5,
    }
    return values


DIARY = columns(0.608, 0.965, 0.9565, 0.609)


def test_the_diarys_corner_is_named_with_the_threshold_that_cures_it(
    make: MakeEvidence, bins: MakeHistogram
) -> None:
    found = bins({60: 10, 90: 90}, {60: 60, 0: 40})

    finding = find(make(DIARY, [{"histogram": found}] * 5))

    assert finding is not None and finding.title == "Far too much is predicted"
    assert "In epochs 2 to 4 precision is 0.608 and recall 0.965" in finding.evidence
    assert "96 % of the voxels are predicted against 61 % labelled" in finding.evidence
    assert "0.729; calling everything foreground would score 0.757" in finding.evidence
    assert "precision 1.00, recall 0.90 and Dice 0.947 instead of 0.769" in finding.evidence
    assert "validation.threshold=0.7" in finding.remedy
    assert finding.numbers["gain"] == pytest.approx(0.947 - 0.769, abs=1e-3)


def test_a_corner_that_no_threshold_cures_says_so(make: MakeEvidence, bins: MakeHistogram) -> None:
    found = bins({90: 100}, {90: 60, 0: 40})

    finding = find(make(DIARY, [{"histogram": found}] * 5))

    assert finding is not None and finding.remedy.startswith("No threshold cures it")


@pytest.mark.parametrize(
    ("sections", "lever"),
    [
        ({"loss": {"class_weights": [1.0, 5.0]}}, "take out the class weights"),
        (
            {
                "loss": {"cross_entropy": {"positive_weight": 42.0}},
                "phases": [{"epochs": [0, None], "weights": {"cross_entropy": 1.0}}],
            },
            "cross_entropy.positive_weight=42 back to 1",
        ),
        (
            {
                "loss": {"focal": {"alpha": 0.75}},
                "phases": [{"epochs": [0, None], "weights": {"focal": 1.0}}],
            },
            "focal.alpha=0.75 back to 0.5",
        ),
        ({}, "sampling.foreground_share=0.35"),
        ({"validation": {"threshold": 0.2}}, "validation.threshold=0.2 back to 0.5"),
        ({"sampling": {"foreground_share": 0.3}}, "balance the loss"),
    ],
)
def test_the_remedy_names_the_setting_that_pushes(
    make: MakeEvidence, sections: dict[str, Any], lever: str
) -> None:
    finding = find(make(DIARY, **sections))

    assert finding is not None and lever in finding.remedy


def test_too_little_is_a_corner_too(make: MakeEvidence) -> None:
    finding = find(make(columns(0.9, 0.3, 0.05, 0.15)))

    assert finding is not None and finding.title == "Far too little is predicted"


def test_balance_or_a_small_surplus_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(columns(0.6, 0.79, 0.30, 0.20))) is None
    assert find(make(columns(0.6, 0.85, 0.25, 0.20))) is None
    assert find(make(columns(0.9, 0.6, 0.133, 0.20))) is None


def test_nothing_is_said_before_three_settled_validations(make: MakeEvidence) -> None:
    assert find(make({name: values[:4] for name, values in DIARY.items()})) is None
    assert find(make()) is None
