import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.rare_foreground import find
from vesuv.runs.observation import LabelShares

RARE = {"train/patches_with_foreground": [0.08] * 3}


def test_the_boreholes_19_of_236_are_named(make: MakeEvidence) -> None:
    census = LabelShares(values={}, foreground=0.01, ignore=0.0, patches_with_foreground=0.09)

    finding = find(make(RARE, census=census, sampling={"foreground_share": 0.0}))

    assert finding is not None
    assert "8 % of the patches of the last 3 epochs hold foreground; 9 % of all" in finding.evidence
    assert "With a batch of 2, 85 % of the steps see none at all" in finding.evidence  # 0.92**2
    assert "sampling.foreground_share=0.67" in finding.remedy
    assert finding.numbers["steps_without"] == pytest.approx(0.8464)


def test_a_sampler_that_was_asked_for_enough_needs_more_labels(make: MakeEvidence) -> None:
    finding = find(make(RARE))

    assert finding is not None and finding.remedy.startswith("Label more foreground")


def test_a_third_of_the_patches_is_enough(make: MakeEvidence) -> None:
    assert find(make({"train/patches_with_foreground": [0.34] * 3})) is None


def test_nothing_is_said_without_the_column(make: MakeEvidence) -> None:
    assert find(make({"train/patches_with_foreground": [0.08] * 2})) is None
    assert find(make({"train/loss": [0.5] * 3})) is None
