import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.patch_share_off import find
from vesuv.runs.observation import LabelShares


def census(foreground: float) -> LabelShares:
    return LabelShares(values={}, foreground=foreground, ignore=0.0, patches_with_foreground=0.1)


def test_patches_with_far_more_foreground_are_named(make: MakeEvidence) -> None:
    shares = {"train/foreground_share": [0.05, 0.06, 0.07]}

    finding = find(make(shares, census=census(0.01)))

    assert finding is not None and finding.epochs == (0, 2)
    assert "6 % of the judged voxels in the patches of the last 3 epochs" in finding.evidence
    assert "1 % of those in the volumes: 6 times as much, with 70 %" in finding.evidence
    assert "sampling.foreground_share=0.35" in finding.remedy
    assert finding.numbers["ratio"] == pytest.approx(6.0)


def test_patches_with_far_less_are_named(make: MakeEvidence) -> None:
    shares = {"train/foreground_share": [0.02] * 3}

    finding = find(make(shares, census=census(0.1)))

    assert finding is not None and "far less" in finding.title
    assert "foreground_share=1" in finding.remedy


def test_a_precision_that_still_rises_is_left_alone(make: MakeEvidence) -> None:
    shares = {"train/foreground_share": [0.06] * 3}
    rising = shares | {"val/precision": [0.2, 0.3, 0.4], "val/recall": [0.5] * 3}
    recall_alone = shares | {"val/precision": [0.3] * 3, "val/recall": [0.5, 0.6, 0.7]}

    assert find(make(rising, census=census(0.01))) is None
    assert find(make(rising, census=census(0.01), train={"epochs": 4})) is not None
    assert find(make(recall_alone, census=census(0.01))) is not None


@pytest.mark.parametrize("share", [0.035, 0.1, 0.29])
def test_a_factor_below_three_is_no_finding(make: MakeEvidence, share: float) -> None:
    assert find(make({"train/foreground_share": [share] * 3}, census=census(0.1))) is None


def test_nothing_is_said_without_census_or_columns(make: MakeEvidence) -> None:
    assert find(make({"train/foreground_share": [0.5] * 3})) is None
    assert find(make({"train/loss": [0.5] * 3}, census=census(0.01))) is None
    assert find(make({"train/foreground_share": [0.5] * 3}, census=census(0.0))) is None
