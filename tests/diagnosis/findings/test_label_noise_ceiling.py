from collections.abc import Callable
from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence, MakeScore, WithDice
from tests.diagnosis.findings.test_lopsided_precision_recall import columns
from vesuv.diagnosis.findings.label_noise_ceiling import find
from vesuv.runs.observation import ErrorCounts


@pytest.fixture
def lines(scored: MakeScore, with_dice: WithDice) -> Callable[..., list[dict[str, Any]]]:
    def build(near: int, far: int, *trains: float) -> list[dict[str, Any]]:
        return [
            {
                "train": scored(with_dice(train)),
                "histogram": with_dice(train - 0.01),
                "errors": ErrorCounts(right=700, near=near, far=far),
            }
            for train in trains
        ]

    return build


STILL = (0.5, 0.69, 0.70, 0.70)


def test_a_run_that_stopped_at_its_boundaries_is_named(
    make: MakeEvidence, lines: Callable[..., Any]
) -> None:
    finding = find(make(observations=lines(800, 40, *STILL)))

    assert finding is not None
    assert "95 % of the wrong voxels lie within one voxel" in finding.evidence
    assert "Dice would be 0.636 (it is 0.690)" in finding.evidence  # 1400 / 2200
    assert "0.700 and gained +0.010 in epochs 1 to 3" in finding.evidence
    assert finding.numbers["ceiling"] == pytest.approx(1400 / 2200)


def test_errors_far_from_the_boundary_are_another_matter(
    make: MakeEvidence, lines: Callable[..., Any]
) -> None:
    assert find(make(observations=lines(800, 500, *STILL))) is None


def test_few_errors_are_no_finding(make: MakeEvidence, lines: Callable[..., Any]) -> None:
    assert find(make(observations=lines(600, 30, *STILL))) is None
    assert find(make(observations=lines(0, 0, *STILL))) is None


def test_a_run_that_still_learns_is_no_finding(
    make: MakeEvidence, lines: Callable[..., Any]
) -> None:
    assert find(make(observations=lines(800, 40, 0.5, 0.6, 0.65, 0.70))) is None


def test_a_mask_that_is_too_thick_is_no_ceiling(
    make: MakeEvidence, lines: Callable[..., Any]
) -> None:
    rows = columns(precision=0.36, recall=0.73, predicted=0.27, labelled=0.13)
    seen = lines(800, 40, 0.4, *STILL)

    assert find(make(rows, seen)) is None
    assert find(make(columns(0.6, 0.6, 0.13, 0.13), seen)) is not None


def test_nothing_is_said_without_errors(make: MakeEvidence, lines: Callable[..., Any]) -> None:
    seen = lines(800, 40, *STILL)
    for line in seen:
        del line["errors"]

    assert find(make(observations=seen)) is None
    assert find(make()) is None
