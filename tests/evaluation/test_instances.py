"""Scores of instances: answers by hand, and those of scikit-image."""

import math

import numpy as np
import pytest
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as voi_by_scikit_image

import vesuv
from vesuv.evaluation.contingency import Contingency
from vesuv.evaluation.instances import (
    compare_instances,
    compare_objects,
    label_cells,
    label_objects,
)
from vesuv.evaluation.voi import voi_of


def _volume(values: list[int]) -> np.ndarray:
    return np.array(values).reshape(1, 1, -1)


def test_equal_instances_of_other_names_have_no_error() -> None:
    scores = compare_instances(_volume([7, 7, 3, 3]), _volume([1, 1, 2, 2]))

    assert scores.voi == (0.0, 0.0)
    assert scores.rand == (0.0, 1.0, 1.0)


def test_two_cells_run_together_cost_one_bit_and_two_thirds_of_the_pairs() -> None:
    scores = compare_instances(_volume([1, 1, 1, 1]), _volume([1, 1, 2, 2]))

    assert scores.voi == (0.0, 1.0)
    # 6 pairs in the predicted cell, 2 in the true ones, 2 common: F = 2 * 2 / (6 + 2)
    assert scores.rand == pytest.approx((1 - 4 / 8, 2 / 6, 1.0))


def test_a_cell_cut_in_halves_costs_one_bit_and_two_thirds_of_the_pairs() -> None:
    scores = compare_instances(_volume([1, 1, 2, 2]), _volume([5, 5, 5, 5]))

    assert scores.voi == (1.0, 0.0)
    assert scores.rand == pytest.approx((1 - 4 / 8, 1.0, 2 / 6))


def test_voxels_without_a_true_cell_are_not_judged() -> None:
    scores = compare_instances(_volume([1, 9, 9, 2]), _volume([1, 0, 0, 2]))

    assert scores.voi == (0.0, 0.0)
    assert scores.rand.error == 0.0


def test_nothing_to_compare_is_no_error() -> None:
    scores = compare_instances(_volume([1, 2]), _volume([0, 0]))

    assert scores.voi == (0.0, 0.0)
    assert scores.rand == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("shift", [0, 40])
def test_scores_agree_with_scikit_image_however_large_the_names(shift: int) -> None:
    rng = np.random.default_rng(0)
    prediction, truth = rng.integers(0, 12, (2, 9, 10, 11))

    scores = compare_instances(prediction << shift, truth << shift)

    error, recall, precision = adapted_rand_error(truth, prediction)  # its names are exchanged
    assert scores.rand == pytest.approx((error, precision, recall))
    judged = truth != 0
    merge, split = voi_by_scikit_image(prediction[judged], truth[judged])
    assert scores.voi == pytest.approx((split, merge))


def test_a_table_after_a_union_is_that_of_the_united_instances() -> None:
    rng = np.random.default_rng(1)
    fragments, truth = rng.integers(0, 20, (2, 500))
    names = rng.integers(0, 6, 20)

    united = Contingency.of(fragments, truth).with_predicted(names)

    expected = Contingency.of(names[fragments], truth)
    assert all(np.array_equal(a, b) for a, b in zip(united, expected, strict=True))
    assert united.counts.sum() == 500


def test_an_empty_table_stays_empty() -> None:
    table = Contingency.of(np.zeros(0, int), np.zeros(0, int)).with_predicted(np.zeros(1, int))

    assert len(table.counts) == 0
    assert voi_of(table) == (0.0, 0.0)


def test_a_wall_one_voxel_thick_separates_cells_that_touch_at_corners() -> None:
    boundary = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1]]], bool)

    assert label_cells(boundary).tolist() == [[[0, 1, 1], [2, 0, 1], [2, 2, 0]]]


def test_unknown_voxels_belong_to_no_cell_and_separate_cells() -> None:
    boundary = np.zeros((1, 1, 5), bool)
    valid = np.array([[[1, 1, 0, 1, 1]]], bool)

    assert label_cells(boundary, valid).tolist() == [[[1, 1, 0, 2, 2]]]


def test_evaluate_compares_the_cells_between_two_boundaries() -> None:
    label = np.zeros((1, 1, 9), np.uint8)
    label[0, 0, 4] = 1
    open_wall = np.zeros_like(label)

    same = vesuv.evaluate(label, label, ["cells"])
    merged = vesuv.evaluate(open_wall, label, ["cells"])

    assert same == {
        "cell_voi": 0.0, "cell_voi_split": 0.0, "cell_voi_merge": 0.0, "cell_rand_error": 0.0,
    }  # fmt: skip
    assert merged["cell_voi"] == merged["cell_voi_merge"] == pytest.approx(1.0)
    assert merged["cell_rand_error"] == pytest.approx(1 - 2 * 12 / (28 + 12))


def test_a_case_without_a_judged_voxel_has_no_cell_scores() -> None:
    label = np.full((1, 2, 2), 2, np.uint8)

    scores = vesuv.evaluate(np.zeros_like(label), label, ["cells"], ignore=2)

    assert math.isnan(scores["cell_voi"])


def test_objects_are_judged_where_truth_or_prediction_holds_one() -> None:
    truth = np.array([[[0, 1, 1, 0, 0, 2, 2, 0]]])
    prediction = np.array([[[0, 5, 5, 0, 9, 9, 0, 0]]])

    scores = compare_objects(prediction, truth)

    # judged are the middle six voxels but the fourth; pairs: (5,1) (5,1) (9,0) (9,2) (0,2)
    joint = -(0.4 * math.log2(0.4) + 3 * 0.2 * math.log2(0.2))
    alone = -(2 * 0.4 * math.log2(0.4) + 0.2 * math.log2(0.2))
    assert scores.voi == pytest.approx((joint - alone, joint - alone))
    assert scores.f1 == 0.5  # one of two pairs; 9 and 2 share a voxel of three


def test_an_object_is_found_if_it_shares_more_than_half_of_the_union() -> None:
    truth = np.array([[[1, 1, 1, 1, 2, 2, 2, 2, 2, 0]]])
    half = np.array([[[1, 1, 0, 0, 2, 2, 2, 0, 0, 3]]])

    assert compare_objects(half, truth).f1 == pytest.approx(2 * 1 / (3 + 2))
    assert compare_objects(truth, truth).f1 == 1.0
    assert compare_objects(np.zeros_like(truth), truth).f1 == 0.0
    nothing = np.zeros((1, 1, 4), int)
    assert compare_objects(nothing, nothing) == ((0.0, 0.0), (0.0, 1.0, 1.0), 1.0)


def test_objects_of_the_random_segmentations_agree_with_a_count_by_hand() -> None:
    rng = np.random.default_rng(5)
    truth, prediction = (np.repeat(rng.integers(0, 6, (2, 6, 6)), 3, axis=2) for _ in range(2))
    prediction[:, :3] = truth[:, :3]

    found = sum(
        2 * np.sum((truth == a) & (prediction == b)) > np.sum((truth == a) | (prediction == b))
        for a in range(1, 6)
        for b in range(1, 6)
    )
    for shift in (0, 40):
        scores = compare_objects(prediction << shift, truth << shift)
        assert scores.f1 == pytest.approx(2 * found / 10)


def test_unknown_voxels_are_not_judged_and_hold_no_object() -> None:
    foreground = np.array([[[1, 1, 0, 1, 1, 1]]], bool)
    known = np.array([[[1, 1, 1, 1, 0, 1]]], bool)

    objects = label_objects(foreground, known)
    assert objects.tolist() == [[[1, 1, 0, 2, 0, 3]]]
    prediction = np.array([[[1, 1, 0, 2, 2, 3]]])
    assert compare_objects(prediction, objects, known).voi == (0.0, 0.0)
    assert compare_objects(prediction, objects).voi.merge > 0


def test_objects_hang_together_over_corners() -> None:
    foreground = np.eye(3, dtype=bool)[np.newaxis]

    assert label_objects(foreground).max() == 1
