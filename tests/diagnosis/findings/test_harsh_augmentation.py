import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.harsh_augmentation import damage, find
from vesuv.runs.observation import AugmentationEffect, Structure


def test_the_augmentation_that_ruins_most_is_named(make: MakeEvidence) -> None:
    effects = {
        "blur": AugmentationEffect(p=0.8, foreground=1.0, contrast=0.25),
        "noise": AugmentationEffect(p=0.1, foreground=1.0, contrast=0.1),
    }
    line = {"augmentation": effects, "structure": Structure(thickness=2.0)}

    finding = find(make(observations=[line, {}], augment={"blur": {"p": 0.8, "range": [3.0, 4.0]}}))

    assert finding is not None and finding.severity == "trouble"
    assert finding.title == "The augmentation blur destroys the structure"
    assert "strength 3 to 4 leaves 100 % of the foreground, 25 % of its" in finding.evidence
    assert "structure 2 voxels thick" in finding.evidence
    assert "80 % of the patches" in finding.evidence
    assert "--set augment.blur.p=0, or" in finding.remedy
    assert finding.numbers["contrast"] == pytest.approx(0.25)


def test_a_rotation_has_one_strength(make: MakeEvidence) -> None:
    line = {"augmentation": {"rotation": AugmentationEffect(p=1.0, foreground=0.6, contrast=1.0)}}

    finding = find(make(observations=[line]))

    assert finding is not None and "rotation with strength 30 leaves 60 %" in finding.evidence
    assert "--set augment.rotation.p=0.25, or" in finding.remedy  # what is left still teaches


def test_a_harsh_one_that_is_rare_is_no_finding(make: MakeEvidence) -> None:
    line = {"augmentation": {"noise": AugmentationEffect(p=0.2, foreground=1.0, contrast=0.0)}}

    assert find(make(observations=[line])) is None


def test_damage_is_the_share_of_patches_times_what_is_lost() -> None:
    assert damage(AugmentationEffect(p=0.5, foreground=0.4, contrast=0.8)) == pytest.approx(0.3)
    assert damage(
        AugmentationEffect(p=0.5, foreground=0.9, contrast=0.8, thickness=0.4)
    ) == pytest.approx(0.3)
    assert damage(AugmentationEffect(p=0.5, foreground=1.2, contrast=1.5)) == 0.0
    assert damage(AugmentationEffect(p=0.5, foreground=1.0, contrast=-2.0)) == 0.5


def test_nothing_is_said_without_a_measurement(make: MakeEvidence) -> None:
    assert find(make(observations=[{}, {"augmentation": {}}])) is None
