import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.failing_group import BEHIND, find
from vesuv.diagnosis.observation import Tile

TILES = [Tile(case="c7", group="south", predicted=0.1, labelled=0.1, dice=0.2)]
FAILS = {"groups": {"north": 0.8, "east": 0.8, "south": 0.3}, "tiles": TILES}


def test_the_group_that_fails_is_named_with_its_cases(make: MakeEvidence) -> None:
    finding = find(make({"val/dice": [0.7, 0.7, 0.71]}, [FAILS] * 3))

    assert finding is not None and finding.title.startswith("Group south fails")
    assert "In epochs 0 to 2 Dice on group south is 0.50 below" in finding.evidence
    assert "0.300 against 0.800 at epoch 2, while 0.710 is reported over all" in finding.evidence
    assert "1 tiles of c7" in finding.evidence and "labels of c7" in finding.remedy
    assert finding.numbers["behind"] == pytest.approx(0.5)


def test_a_group_a_little_behind_is_no_finding(make: MakeEvidence) -> None:
    close = {"groups": {"north": 0.8, "east": 0.8, "south": 0.81 - BEHIND}}

    assert find(make(observations=[close] * 3)) is None


def test_one_bad_validation_is_no_finding(make: MakeEvidence) -> None:
    fine = {"groups": {"north": 0.8, "east": 0.8, "south": 0.75}}

    assert find(make(observations=[FAILS, fine, FAILS])) is None


def test_all_groups_that_fail_are_another_matter(make: MakeEvidence) -> None:
    poor = {"groups": {"north": 0.4, "south": 0.05}}

    assert find(make(observations=[poor] * 3)) is None


def test_nothing_is_said_of_one_group_or_too_few_looks(make: MakeEvidence) -> None:
    assert find(make(observations=[{"groups": {"north": 0.1}}] * 3)) is None
    assert find(make(observations=[FAILS] * 2)) is None
    assert find(make(observations=[{}] * 3)) is None
