"""Findings of several classes speak of one class by name."""

from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis import diagnose
from vesuv.diagnosis.findings import (
    collapse,
    failing_group,
    harsh_augmentation,
    over_fitting,
    patch_share_off,
    rare_foreground,
    small_patch,
    under_fitting,
)
from vesuv.runs.fields import BINS
from vesuv.runs.observation import (
    AugmentationEffect,
    ClassSampling,
    GroupScore,
    Histogram,
    Structure,
    TrainScore,
)

THREE: dict[str, Any] = {
    "labels": {"classes": {"background": 0, "ink": 1, "membrane": 3}},
    "model": {"name": "plain_unet", "depth": 2, "out_channels": 3},
}
EMPTY = Histogram(foreground=(0,) * BINS, background=(1,) * BINS)


def dice_line(ink: float, membrane: float) -> dict[str, Any]:
    score = TrainScore(
        dice=0.5,
        precision=0.5,
        recall=0.5,
        predicted=0.1,
        labelled=0.1,
        histogram=EMPTY,
        class_dice={"ink": ink, "membrane": membrane},
    )
    return {"train": score, "histogram": EMPTY}


def heads(over: str, *, predicted: float) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Columns and sections of two heads, of which `over` is written last; membrane: 1 %."""
    regions = {name: [name] for name in ("ink", "membrane") if name != over} | {over: [over]}
    columns = {
        "val/precision[ink]": 0.1,
        "val/recall[ink]": 0.0,
        "val/predicted_fraction[ink]": 0.002,
        "val/labelled_fraction[ink]": 0.012,
        "val/precision[membrane]": 0.01 / predicted,
        "val/recall[membrane]": 0.98,
        "val/predicted_fraction[membrane]": predicted,
        "val/labelled_fraction[membrane]": 0.01,
        "val/dice[ink]": 0.005,
        "val/dice[membrane]": 0.39,
        "val/dice": 0.2,
    }
    sections = {"labels": THREE["labels"] | {"regions": regions}}
    return {name: [value] * 12 for name, value in columns.items()}, sections


@pytest.mark.parametrize(
    ("over", "predicted", "is_hidden"),
    [("membrane", 0.04, True), ("membrane", 0.015, False), ("ink", 0.04, False)],
)
def test_a_region_below_one_that_is_predicted_everywhere_is_not_judged(
    make: MakeEvidence, over: str, predicted: float, is_hidden: bool
) -> None:
    columns, sections = heads(over, predicted=predicted)
    evidence = make(columns, [dice_line(0.005, 0.4)] * 12, **sections)

    found = {finding.name: finding for finding in diagnose(evidence)}

    of_ink = {name for name, finding in found.items() if "'ink'" in finding.title}
    assert of_ink == (set() if is_hidden else {"collapse", "under_fitting"})
    if predicted > 0.02:
        text = " It is written over 'ink', which cannot be judged so."
        assert (text in found["lopsided_precision_recall"].evidence) == is_hidden


def test_spacing_and_thickness_are_of_the_class_with_the_widest_spacing(
    make: MakeEvidence,
) -> None:
    structures = {
        "ink": Structure(spacing=(30.0, 40.0, 50.0), thickness=2.0),
        "membrane": Structure(spacing=(14.0, 14.0, 14.0), thickness=9.0),
    }
    union = Structure(spacing=(7.0, 14.0, 13.0), thickness=26.0)
    lines = [{"class_structures": structures, "structure": union}]

    finding = small_patch.find(make(observations=lines, **THREE))

    assert finding is not None
    assert finding.title == "The patch is too small for the spacing of class 'ink'"
    assert finding.evidence.startswith("Class 'ink', 2 voxels thick, repeats every 30, 40, 50 vox")
    assert "26" not in finding.evidence and "other class" not in finding.evidence


def test_the_number_of_other_classes_is_told(make: MakeEvidence) -> None:
    structures = {
        "ink": Structure(spacing=(30.0, 40.0, 50.0)),
        "membrane": Structure(spacing=(20.0, 20.0, 20.0)),
    }

    finding = small_patch.find(make(observations=[{"class_structures": structures}], **THREE))

    assert finding is not None and finding.evidence.endswith("1 other class is affected too.")


def test_a_union_that_an_older_version_measured_is_no_evidence(make: MakeEvidence) -> None:
    union = {
        "structure": Structure(spacing=(70.0, 70.0, 70.0), thickness=26.0),
        "augmentation": {"blur": AugmentationEffect(p=1.0, foreground=0.1, contrast=0.1)},
    }
    shares = {
        "train/foreground_share": [0.9] * 3,
        "train/patches_with_foreground": [0.05] * 3,
    }

    assert diagnose(make(shares, [union] * 3, **THREE)) == ()


def test_the_class_that_few_patches_hold_is_named(make: MakeEvidence) -> None:
    sampling = {
        "ink": ClassSampling(patches=0.1, patch_share=0.01, volume_share=0.01),
        "membrane": ClassSampling(patches=1.0, patch_share=0.3, volume_share=0.3),
    }

    finding = rare_foreground.find(make(observations=[{"class_sampling": sampling}], **THREE))

    assert finding is not None and finding.title == "Patches with class 'ink' are too rare"
    assert finding.evidence == (
        "10 % of the training patches hold class 'ink'. With a batch of 2, 81 % of the steps see "
        "none of it at all."
    )


def test_classes_that_share_the_patches_are_not_rare(make: MakeEvidence) -> None:
    even = ClassSampling(patches=0.17, patch_share=0.1, volume_share=0.1)
    sampling = {"ink": even, "membrane": even}

    assert rare_foreground.find(make(observations=[{"class_sampling": sampling}], **THREE)) is None


def test_the_class_with_a_share_far_from_the_volumes_is_named(make: MakeEvidence) -> None:
    sampling = {
        "ink": ClassSampling(patches=1.0, patch_share=0.08, volume_share=0.02),
        "membrane": ClassSampling(patches=1.0, patch_share=0.3, volume_share=0.3),
    }

    finding = patch_share_off.find(make(observations=[{"class_sampling": sampling}], **THREE))

    assert finding is not None
    assert finding.title == "Patches hold far more of class 'ink' than volumes"
    assert "8 % of the judged voxels in the training patches are of class 'ink', 2 %" in (
        finding.evidence
    )


def test_the_class_that_an_augmentation_destroys_is_named(make: MakeEvidence) -> None:
    effect = AugmentationEffect(p=1.0, foreground=0.4, contrast=1.0, class_name="ink")
    lines = [
        {
            "augmentation": {"blur": effect},
            "class_structures": {"ink": Structure(thickness=2.0), "membrane": Structure()},
        }
    ]

    finding = harsh_augmentation.find(make(observations=lines, **THREE))

    assert finding is not None
    assert finding.title == "The augmentation blur destroys the structure of class 'ink'"
    assert "leaves 40 % of class 'ink', 100 %" in finding.evidence
    assert "(structure 2 voxels thick)" in finding.evidence


def columns(
    name: str, recall: list[float], precision: float = 0.5, predicted: float = 0.1
) -> dict[str, Any]:
    return {
        f"val/precision[{name}]": [precision] * len(recall),
        f"val/recall[{name}]": recall,
        f"val/predicted_fraction[{name}]": [predicted] * len(recall),
        f"val/labelled_fraction[{name}]": [0.1] * len(recall),
        "val/dice": [0.4] * len(recall),
    }


def test_a_class_that_is_never_predicted_is_named(make: MakeEvidence) -> None:
    never = columns("ink", [0.0] * 6, precision=0.0, predicted=0.0)

    finding = collapse.find(make(never | columns("membrane", [0.5] * 6), **THREE))

    assert finding is not None and finding.title == "Class 'ink' is not told apart"
    assert finding.epochs == (3, 5) and finding.numbers["gap"] == 0.0
    assert "0 % of the voxels are predicted as it; it was never wider" in finding.evidence


def test_a_class_that_is_lost_had_been_told_apart(make: MakeEvidence) -> None:
    lost = columns("ink", [0.0, 0.8, 0.05, 0.05, 0.05, 0.05])  # 0.05 / 0.9 of the others are false

    finding = collapse.find(make(lost | columns("membrane", [0.5] * 6), **THREE))

    assert finding is not None and finding.title == "Class 'ink' is no longer told apart"
    assert finding.numbers["widest_gap"] == pytest.approx(0.8 - 0.05 / 0.9)


def test_a_class_that_begins_to_be_predicted_is_left_alone(make: MakeEvidence) -> None:
    begins = columns("ink", [0.0, 0.0, 0.0, 0.0, 0.01, 0.02], precision=1.0, predicted=0.001)

    assert collapse.find(make(begins | columns("membrane", [0.5] * 6), **THREE)) is None


def test_the_class_that_is_not_learnt_is_named(make: MakeEvidence) -> None:
    dice = {"val/dice": [0.5] * 5, "val/dice[ink]": [0.2] * 5, "val/dice[membrane]": [0.9] * 5}

    finding = under_fitting.find(make(dice, [dice_line(0.25, 0.95)] * 5, **THREE))

    assert finding is not None
    assert finding.title == "Class 'ink' is not even learnt on the training cases"
    assert "Dice of class 'ink' rose to 0.250 on tiles of training cases and 0.200 on" in (
        finding.evidence
    )


def test_the_class_that_is_learnt_by_heart_is_named(make: MakeEvidence) -> None:
    dice = {
        "val/dice": [0.5] * 4,
        "val/dice[ink]": [0.5, 0.6, 0.58, 0.55],
        "val/dice[membrane]": [0.5, 0.6, 0.7, 0.8],
    }
    lines = [dice_line(ink, ink) for ink in (0.5, 0.7, 0.8, 0.9)]
    lines = [{**line} for line in lines]

    finding = over_fitting.find(make(dice, lines, **THREE))

    assert finding is not None
    assert finding.title == "The network learns class 'ink' of its training cases by heart"
    assert "Dice of class 'ink' is 0.900 on tiles of training cases and 0.550" in finding.evidence


def test_a_group_fails_in_one_class(make: MakeEvidence) -> None:
    scores = {
        "ink": {
            "north": GroupScore(dice=0.8, labelled=0.25),
            "south": GroupScore(dice=0.46, labelled=0.25),
        },
        "membrane": {
            "north": GroupScore(dice=0.8, labelled=0.25),
            "south": GroupScore(dice=0.8, labelled=0.25),
        },
    }
    dice = {"val/dice": [0.7] * 5, "val/dice[ink]": [0.6] * 5}

    finding = failing_group.find(make(dice, [{"class_groups": scores}] * 5, **THREE))

    # Calling a quarter ink everywhere scores 0.4: (0.46 - 0.4) / 0.6 against 0.4 / 0.6.
    assert finding is not None
    assert finding.title == "Group south fails in class 'ink' while the mean looks fine"
    assert finding.numbers["share"] == pytest.approx(0.15)
    assert (
        "calling everything 'ink'" in finding.evidence and "0.600 is reported" in finding.evidence
    )
