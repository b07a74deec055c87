import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.extra_label_as_foreground import find
from vesuv.runs.observation import LabelShares

MERGED = {"classes": {"background": 0, "surface": [1, 2]}, "ignore": None}
APART = {"classes": {"background": 0, "surface": 1, "other": 2}, "ignore": None}
THREE = {"name": "plain_unet", "depth": 2, "out_channels": 3}


def census(background: float, surface: float, unlabelled: float) -> LabelShares:
    values = {"0": background, "1": surface, "2": unlabelled}
    return LabelShares(
        values=values, foreground=surface + unlabelled, ignore=0.0, patches_with_foreground=1.0
    )


DIARY = census(0.391, 0.053, 0.556)


def test_the_diarys_unlabelled_value_is_named_with_its_share(make: MakeEvidence) -> None:
    finding = find(make(census=DIARY, labels=MERGED))

    assert finding is not None and finding.severity == "trouble"
    assert "Value 2 fills 56 % of all voxels, 10.5 times the 5.3 %" in finding.evidence
    assert "class 'surface', and no value is ignored" in finding.evidence
    assert "61 % of the judged voxels are foreground" in finding.evidence
    assert "labels.ignore=2 'labels.classes={background: 0, surface: 1}'" in finding.remedy
    assert finding.numbers["share"] == pytest.approx(0.556)


def test_a_class_of_its_own_is_suspect_as_well(make: MakeEvidence) -> None:
    finding = find(make(census=DIARY, labels=APART, model=THREE))

    assert finding is not None and "class 'other'" in finding.evidence


def test_an_ignore_value_that_does_not_occur_protects_nobody(make: MakeEvidence) -> None:
    finding = find(make(census=DIARY, labels={**MERGED, "ignore": 255}))

    assert finding is not None and "the ignore value 255 does not occur" in finding.evidence


def test_a_value_that_is_ignored_is_right(make: MakeEvidence) -> None:
    assert find(make(census=DIARY)) is None


def test_a_large_organ_beside_a_small_lesion_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(census=census(0.5, 0.48, 0.02), labels=MERGED)) is None


def test_two_structures_of_one_size_are_no_finding(make: MakeEvidence) -> None:
    assert find(make(census=census(0.4, 0.25, 0.35), labels=MERGED)) is None


def test_a_rare_second_value_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(census=census(0.8, 0.03, 0.17), labels=MERGED)) is None


def test_nothing_is_said_without_a_census(make: MakeEvidence) -> None:
    assert find(make(labels=MERGED)) is None
