from collections.abc import Callable
from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence, MakeScore
from vesuv.diagnosis.findings.under_fitting import find
from vesuv.runs.records import Histogram

WithDice = Callable[[float], Histogram]


@pytest.fixture
def lines(scored: MakeScore, with_dice: WithDice) -> Callable[..., list[dict[str, Any]]]:
    def build(*trains: float) -> list[dict[str, Any]]:
        return [
            {"train": scored(with_dice(train)), "histogram": with_dice(train - 0.02)}
            for train in trains
        ]

    return build


def test_a_run_that_stopped_low_is_named(make: MakeEvidence, lines: Callable[..., Any]) -> None:
    finding = find(make(observations=lines(0.2, 0.3, 0.40, 0.401, 0.402)))

    assert finding is not None and finding.severity == "trouble"
    assert "0.402 on tiles of training cases and 0.382 on validation tiles" in finding.evidence
    assert "by +0.0010 an epoch since epoch 2" in finding.evidence
    assert "optimizer.lr=0.003" in finding.remedy and "model.filters=16" in finding.remedy


def test_a_run_that_climbs_needs_time(make: MakeEvidence, lines: Callable[..., Any]) -> None:
    finding = find(make(observations=lines(0.1, 0.2, 0.3, 0.35, 0.4)))

    assert finding is not None and finding.severity == "warning"
    assert "train.epochs=40" in finding.remedy


def test_a_network_that_fits_is_no_finding(make: MakeEvidence, lines: Callable[..., Any]) -> None:
    assert find(make(observations=lines(0.2, 0.4, 0.6, 0.65, 0.66))) is None


def test_another_network_is_proposed_by_its_own_key(
    make: MakeEvidence, lines: Callable[..., Any]
) -> None:
    model = {"name": "mednext"}

    finding = find(make(observations=lines(*[0.3] * 5), model=model))

    assert finding is not None and "model.variant=B" in finding.remedy


def test_nothing_is_said_without_training_tiles(make: MakeEvidence, with_dice: WithDice) -> None:
    assert find(make(observations=[{"histogram": with_dice(0.2)}] * 8)) is None
