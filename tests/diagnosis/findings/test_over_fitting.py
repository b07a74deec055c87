from collections.abc import Callable

import pytest

from tests.diagnosis.conftest import MakeEvidence, MakeScore, WithDice
from vesuv.diagnosis.findings.over_fitting import find


@pytest.fixture
def lines(scored: MakeScore, with_dice: WithDice) -> Callable[..., list[dict[str, object]]]:
    def build(*pairs: tuple[float, float]) -> list[dict[str, object]]:
        return [
            {"train": scored(with_dice(train)), "histogram": with_dice(validation)}
            for train, validation in pairs
        ]

    return build


def test_a_widening_gap_is_named(make: MakeEvidence, lines: Callable[..., list[object]]) -> None:
    seen = lines((0.5, 0.5), (0.7, 0.6), (0.8, 0.58), (0.9, 0.55))

    finding = find(make(observations=seen, facts={"train_cases": ["a", "b"]}))

    assert finding is not None and finding.severity == "trouble"
    assert "0.900 on tiles of training cases and 0.550 on validation tiles" in finding.evidence
    assert "gap was 0.000 at epoch 0 and is 0.285" in finding.evidence
    assert "Validation was best at epoch 1 (0.600), with 2 training cases" in finding.evidence
    assert "best.pt keeps epoch 1" in finding.remedy
    assert finding.numbers["gap"] == pytest.approx(0.285)


def test_tiles_that_were_always_easier_are_no_finding(
    make: MakeEvidence, lines: Callable[..., list[object]]
) -> None:
    seen = lines((0.5, 0.35), (0.7, 0.55), (0.8, 0.65), (0.9, 0.75))

    assert find(make(observations=seen)) is None


def test_a_narrow_gap_is_no_finding(make: MakeEvidence, lines: Callable[..., list[object]]) -> None:
    seen = lines((0.5, 0.5), (0.7, 0.65), (0.8, 0.70), (0.8, 0.70))

    assert find(make(observations=seen)) is None


def test_nothing_is_said_without_training_tiles(make: MakeEvidence, with_dice: WithDice) -> None:
    assert find(make(observations=[{"histogram": with_dice(0.5)}] * 5)) is None
