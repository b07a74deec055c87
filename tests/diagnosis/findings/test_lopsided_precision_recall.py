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
            "--set loss.cross_entropy.positive_weight=1 (it is 42)",
        ),
        (
            {
                "loss": {"focal": {"alpha": 0.75}},
                "phases": [{"epochs": [0, None], "weights": {"focal": 1.0}}],
            },
            "--set loss.focal.alpha=0.5 (it is 0.75)",
        ),
        ({}, "sampling.foreground_share=0.35"),
        ({"validation": {"threshold": 0.2}}, "--set validation.threshold=0.5 (it is 0.2)"),
        ({"sampling": {"foreground_share": 0.3}}, "balance the loss"),
    ],
)
def test_the_remedy_names_the_setting_that_pushes(
    make: MakeEvidence, sections: dict[str, Any], lever: str
) -> None:
    finding = find(make(DIARY, **sections))

    assert finding is not None and lever in finding.remedy


MEMBRANES: dict[str, Any] = {  # plain Dice on FIB-25, 12 epochs of 12 steps, 8 filters, depth 2
    "val/precision": [
        0.411, 0.426, 0.429, 0.460, 0.468, 0.473, 0.477, 0.490, 0.480, 0.490, 0.496, 0.498
    ],
    "val/recall": [
        0.559, 0.764, 0.721, 0.769, 0.748, 0.760, 0.745, 0.769, 0.740, 0.777, 0.804, 0.789
    ],
    "val/predicted_fraction": [
        0.196, 0.259, 0.243, 0.241, 0.231, 0.232, 0.226, 0.227, 0.223, 0.229, 0.234, 0.229
    ],
    "val/labelled_fraction": [0.145] * 12,
    "val/dice": [
        0.474, 0.547, 0.538, 0.576, 0.576, 0.583, 0.581, 0.599, 0.583, 0.601, 0.613, 0.611
    ],
}  # fmt: skip
YOUNG = {name: values[:5] for name, values in MEMBRANES.items()}


def test_a_run_that_ends_lopsided_is_found_at_its_end(make: MakeEvidence) -> None:
    finding = find(make(MEMBRANES, train={"epochs": 12}))

    assert finding is not None and finding.epochs == (9, 11)


def test_a_young_run_whose_precision_rises_is_left_alone(make: MakeEvidence) -> None:
    assert find(make(YOUNG, train={"epochs": 12})) is None


def test_the_same_numbers_late_in_a_run_are_a_finding(make: MakeEvidence) -> None:
    finding = find(make(YOUNG, train={"epochs": 6}))

    assert finding is not None and finding.title == "Far too much is predicted"


def test_a_precision_that_stalls_is_found_at_once(make: MakeEvidence) -> None:
    stalled = YOUNG | {"val/precision": [0.411, 0.426, 0.460, 0.468, 0.470]}

    assert find(make(stalled, train={"epochs": 12})) is not None


def test_a_rising_recall_does_not_excuse_a_low_precision(make: MakeEvidence) -> None:
    stalled = YOUNG | {"val/precision": [0.43] * 5}

    assert find(make(stalled, train={"epochs": 12})) is not None


def test_a_threshold_that_would_deepen_the_fault_is_not_proposed(
    make: MakeEvidence, bins: MakeHistogram
) -> None:
    surer_below = bins({30: 80, 90: 20}, {5: 100, 90: 5})  # the best threshold is below one half

    finding = find(make(DIARY, [{"histogram": surer_below}] * 5))

    assert finding is not None and "validation.threshold" not in finding.remedy


def several(ink: tuple[float, float, float, float], num: int = 5) -> dict[str, Any]:
    """Precision, recall, predicted and labelled fraction of ink; membrane is balanced."""
    values = {"ink": ink, "membrane": (0.8, 0.8, 0.2, 0.2)}
    columns = {
        f"val/{column}[{name}]": [value] * num
        for name, numbers in values.items()
        for column, value in zip(
            ("precision", "recall", "predicted_fraction", "labelled_fraction"),
            numbers,
            strict=True,
        )
    }
    return columns | {
        "val/dice": [0.6] * num,
        "val/dice[ink]": [0.4] * num,
        "val/dice[membrane]": [0.8] * num,
        "val/precision": [0.5] * num,
        "val/recall": [0.9] * num,
        "val/predicted_fraction": [0.5] * num,
        "val/labelled_fraction": [0.25] * num,
    }


THREE: dict[str, Any] = {
    "labels": {"classes": {"background": 0, "ink": 1, "membrane": 3}},
    "model": {"name": "plain_unet", "depth": 2, "out_channels": 3},
}


def test_of_several_classes_the_lopsided_one_is_named(make: MakeEvidence) -> None:
    finding = find(make(several((0.25, 0.9, 0.18, 0.05)), **THREE))

    assert finding is not None and finding.title == "Far too much of class 'ink' is predicted"
    assert finding.evidence == (
        "In epochs 2 to 4 precision of class 'ink' is 0.250 and recall 0.900: 18 % of the voxels "
        "are predicted against 5 % labelled. Dice is 0.400; calling everything 'ink' would score "
        "0.095."
    )
    assert finding.remedy.startswith(
        "Let validate_distribution choose a threshold for each class (no training needed); for the "
        "next run balance the loss"
    )


def test_the_union_of_balanced_classes_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(several((0.8, 0.8, 0.05, 0.05)), **THREE)) is None


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
