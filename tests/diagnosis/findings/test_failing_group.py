from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.failing_group import find
from vesuv.runs.observation import TileScore


def line(south: float, others: float = 0.8, labelled: float = 0.25) -> dict[str, Any]:
    groups = {"north": others, "east": others, "south": south}
    tiles = [
        TileScore(case=f"case of {group}", group=group, predicted=0.1, labelled=labelled, dice=dice)
        for group, dice in groups.items()
    ]
    return {"groups": groups, "tiles": tiles}


def test_the_group_that_fails_is_named_with_its_cases(make: MakeEvidence) -> None:
    finding = find(make({"val/dice": [0.7, 0.7, 0.7, 0.7, 0.71]}, [line(0.46)] * 5))

    # A quarter is foreground: calling all of it foreground scores 0.4; 0.06 of 0.4 above it.
    assert finding is not None and finding.title.startswith("Group south fails")
    assert "In epochs 2 to 4 group south reaches 15 % at most" in finding.evidence
    assert "0.460 against 0.800 at epoch 4, while 0.710 is reported over all" in finding.evidence
    assert "1 tiles of case of south" in finding.evidence and "of case of south" in finding.remedy
    assert finding.numbers["share"] == pytest.approx(0.15)


def test_a_harder_group_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(observations=[line(0.6)] * 5)) is None


def test_one_bad_validation_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(observations=[*[line(0.4)] * 3, line(0.75), line(0.4)])) is None


def test_all_groups_that_fail_are_another_matter(make: MakeEvidence) -> None:
    assert find(make(observations=[line(0.40, others=0.55)] * 5)) is None


def test_nothing_is_said_of_one_group_or_too_few_looks(make: MakeEvidence) -> None:
    assert find(make(observations=[{"groups": {"north": 0.1}}] * 5)) is None
    assert find(make(observations=[line(0.4)] * 4)) is None
    assert find(make(observations=[{}] * 5)) is None
