from typing import Any

import pytest

from tests.diagnosis.conftest import FitLines, MakeEvidence, MakeScore, WithDice
from vesuv.diagnosis import diagnose
from vesuv.diagnosis.findings.slow_optimizer import find

SHORT = {"epochs": 6, "steps_per_epoch": 50}
RISING = (0.61, 0.65, 0.66, 0.69, 0.71, 0.72)


def test_a_short_run_that_was_learning_is_told_of_muon(make: MakeEvidence, fits: FitLines) -> None:
    finding = find(make(observations=fits(*RISING), train=SHORT))

    assert finding is not None and finding.severity == "warning"
    assert "300 steps are few for adamw" in finding.title
    assert "from 0.670 to 0.700 on validation tiles and from 0.690 to 0.720" in finding.evidence
    assert "'optimizer={name: muon}'" in finding.remedy and "train.epochs=12" in finding.remedy


@pytest.mark.parametrize(
    ("trains", "sections"),
    [
        (RISING, {"train": SHORT, "optimizer": {"name": "muon"}}),
        (RISING, {"train": {"epochs": 6, "steps_per_epoch": 1000}}),
        (RISING, {"train": {"epochs": 12, "steps_per_epoch": 50}}),
        ((*RISING[:3], 0.70, 0.705, 0.715), {"train": SHORT}),
    ],
    ids=["muon", "a long run", "a run that goes on", "no gain"],
)
def test_other_runs_are_not_told_of_muon(
    make: MakeEvidence, fits: FitLines, trains: tuple[float, ...], sections: Any
) -> None:
    assert find(make(observations=fits(*trains), **sections)) is None


def test_a_low_dice_is_another_matter(make: MakeEvidence, fits: FitLines) -> None:
    climbing = fits(0.1, 0.2, 0.3, 0.35, 0.4)
    evidence = make(observations=climbing, train={"epochs": 5})

    assert [finding.name for finding in diagnose(evidence)] == ["under_fitting"]


def test_a_short_run_that_learns_by_heart_is_not_told_of_muon(
    make: MakeEvidence, scored: MakeScore, with_dice: WithDice
) -> None:
    pairs = [(0.61, 0.6), (0.65, 0.63), (0.66, 0.64), (0.69, 0.65), (0.75, 0.66), (0.8, 0.68)]
    widening = [
        {"train": scored(with_dice(train)), "histogram": with_dice(validation)}
        for train, validation in pairs
    ]

    assert find(make(observations=widening, train=SHORT)) is None
