from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import vesuv.evaluation
from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.evaluation import evaluate
from vesuv.evaluation.folders import ScoreOptions, score_folders
from vesuv.evaluation.measures import CHOICES, OVERLAP


def volume(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8).reshape(2, 2, -1)


LABEL = volume(1, 0, 0, 0, 1, 0, 2, 2)
PREDICTION = volume(1, 1, 1, 1, 0, 0, 0, 0)


def test_dice_is_what_is_asked_for_unless_others_are() -> None:
    # 1 hit of 4 predicted and 2 labelled voxels, over 6 judged ones
    assert evaluate(PREDICTION, LABEL, ignore=2) == {"dice": pytest.approx(2 / 6)}


def test_overlap_scores_by_hand() -> None:
    scores = evaluate(PREDICTION, LABEL, OVERLAP, ignore=2)

    assert scores == pytest.approx(
        {
            "dice": 2 / 6,
            "iou": 1 / 5,
            "precision": 1 / 4,
            "recall": 1 / 2,
            "f1": 2 / 6,
            "accuracy": 2 / 6,
            "predicted_fraction": 4 / 6,
            "labelled_fraction": 2 / 6,
        }
    )
    assert list(scores) == list(OVERLAP)


def test_any_value_but_background_and_ignore_is_a_class() -> None:
    label = volume(0, 7, 9, 9, 9, 255, 7, 0)
    prediction = volume(0, 7, 7, 9, 9, 9, 0, 0)

    # class 7: 1 hit, 2 predicted, 2 labelled; class 9: 2 hits, 2 judged predicted, 3 labelled
    scores = evaluate(prediction, label, ["dice", "recall"], ignore=255)

    assert scores["dice"] == pytest.approx((2 / 4 + 4 / 5) / 2)
    assert scores["recall"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_value_that_only_ignored_voxels_hold_is_no_class() -> None:
    prediction = volume(1, 0, 0, 0, 1, 0, 3, 3)

    assert evaluate(prediction, LABEL, ignore=2) == {"dice": 1.0}


def test_a_measure_of_several_columns_gives_all_of_them() -> None:
    mask = np.zeros((3, 3, 6), bool)
    mask[1, 1, :2] = mask[1, 1, 4:] = True
    bar = np.zeros_like(mask)
    bar[1, 1] = True

    scores = evaluate(mask, bar, ["betti", "voi", "surface_dice@1,2", "hd95"])

    assert list(scores) == [
        *(f"{n}_{k}" for n in ("components", "loops", "cavities")
          for k in ("error", "predicted", "labelled")),
        "voi", "voi_split", "voi_merge", "surface_dice@1", "surface_dice@2", "hd95",
    ]  # fmt: skip
    assert (scores["components_predicted"], scores["components_labelled"]) == (2.0, 1.0)
    assert scores["voi_split"] == pytest.approx(math.log2(3))
    assert all(type(value) is float for value in scores.values())


def test_distances_are_in_the_unit_of_the_spacing() -> None:
    first, second = np.zeros((2, 5, 5, 5), bool)
    first[0, 2, 2] = second[4, 2, 2] = True

    assert evaluate(first, second, ["hd95"], spacing=(2.5, 1.0, 1.0)) == {"hd95": 10.0}


def test_ignored_voxels_can_be_excluded() -> None:
    label = np.zeros((3, 3, 12), np.uint8)
    label[1, 1, 2:10] = 1
    label[1, 1, 5:7] = 2
    prediction = (label > 0).astype(np.uint8)

    assert evaluate(prediction, label, ["voi"], ignore=2)["voi"] == 0.0
    excluded = evaluate(prediction, label, ["voi"], ignore=2, ignored_voxels="excluded")
    assert excluded["voi_merge"] == pytest.approx(1.0)


def test_nothing_judged_has_no_score() -> None:
    blank = np.full((2, 2, 2), 2)

    scores = evaluate(PREDICTION, blank, ["dice", "cldice", "leaderboard"], ignore=2)

    assert math.isnan(scores["dice"]) and math.isnan(scores["cldice"])
    assert scores["leaderboard"] == 1.0


def test_empty_masks_agree() -> None:
    empty = np.zeros((4, 4, 4))

    assert evaluate(empty, empty, ["dice", "cldice", "hd95"]) == {
        "dice": 1.0,
        "cldice": 1.0,
        "hd95": 0.0,
    }


def test_tensors_booleans_and_whole_floats_are_label_values_too() -> None:
    label = torch.from_numpy(LABEL == 1)

    assert evaluate(PREDICTION.astype(np.float32), label) == evaluate(PREDICTION == 1, LABEL == 1)


def test_it_agrees_with_the_scores_of_folders(tmp_path) -> None:
    rng = np.random.default_rng(0)
    prediction = rng.integers(2, size=(8, 8, 8), dtype=np.uint8)
    label = rng.integers(3, size=(8, 8, 8), dtype=np.uint8)
    for name, array in (("predictions", prediction), ("labels", label)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", array)
    labels = LabelsConfig(classes={"background": 0, "foreground": 1}, ignore=2)
    options = ScoreOptions(labels, measures=["all"], leaderboard="exact")

    folders = score_folders([tmp_path / "predictions"], tmp_path / "labels", tmp_path, options)
    (case,) = folders.cases
    scores = evaluate(prediction, label, [*OVERLAP, "leaderboard", *CHOICES], ignore=2)

    expected = {name.removesuffix("[voxel]"): value for name, value in case.scores.items()}
    assert scores == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measures": ["clDice"]}, r"^measures: must be of .*found 'clDice'; did you mean cldice"),
        ({"measures": "dice"}, r"measures: must be a list of names, found the text 'dice'"),
        ({"ignore": 0}, r"ignore: 0 is the background"),
        ({"ignored_voxels": "none"}, r"ignored_voxels: must be background or excluded; found 'no"),
        ({"spacing": (1.0, 0.0, 1.0)}, r"spacing: must be three lengths above 0"),
        ({"spacing": (1.0, 1.0)}, r"spacing: must be three lengths above 0"),
        (
            {"label": LABEL[0]},
            r"label: must be a volume \(z, y, x\) with voxels, found \(2, 2\); give a",
        ),
        ({"label": np.zeros((0, 2, 2))}, r"label: must be a volume"),
        ({"prediction": PREDICTION[:1]}, r"prediction: a prediction has its label's shape \(2, 2"),
        ({"prediction": PREDICTION * 0.3}, r"prediction: must hold label values, found 0\.3"),
        ({"label": LABEL * 0.3}, r"label: a label holds whole numbers, found 0\.3"),
        ({"prediction": np.stack([PREDICTION] * 2)}, r"prediction: classes are one channel"),
        ({"prediction": PREDICTION * 2, "ignore": 2}, r"prediction: a prediction names a class"),
        ({"label": LABEL.astype(complex)}, r"label: a label holds whole numbers, found type"),
        ({"label": np.arange(512).reshape(8, 8, 8)}, r"label: 254 classes .* found 511 values"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments: dict[str, object], message: str) -> None:
    prediction = arguments.pop("prediction", PREDICTION)
    label = arguments.pop("label", LABEL)

    with pytest.raises(InputError, match=message):
        evaluate(prediction, label, **arguments)


def test_it_is_the_rooms_public_name() -> None:
    assert vesuv.evaluation.__all__ == ["evaluate"]
