from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vesuv.evaluation.overlap import confusion, one_against_rest, scores


def _score(prediction: list[int], label: list[int], ignore: int = 255, classes: int = 2):
    truth = torch.tensor(label, dtype=torch.uint8)
    return scores(confusion(torch.tensor(prediction), truth, truth != ignore, classes))


def test_counts_stand_by_label_in_rows_and_by_prediction_in_columns() -> None:
    prediction = torch.tensor([[0, 1, 1], [1, 0, 0]])
    label = torch.tensor([[0, 0, 1], [1, 1, 255]])

    matrix = confusion(prediction, label, label != 255, num_classes=2)

    assert matrix.dtype == torch.int64
    assert matrix.tolist() == [[1, 1], [1, 2]]


def test_scores_of_a_hand_made_case() -> None:
    # 3 hits, 1 false alarm, 2 misses, 4 rejections, 2 unjudged
    found = _score([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 255, 255])

    assert found.dice == pytest.approx(6 / 9)
    assert found.iou == pytest.approx(3 / 6)
    assert found.precision == pytest.approx(3 / 4)
    assert found.recall == pytest.approx(3 / 5)
    assert found.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    assert found.accuracy == pytest.approx(7 / 10)
    assert found.predicted_fraction == pytest.approx(4 / 10)
    assert found.labelled_fraction == pytest.approx(5 / 10)


def test_nothing_labelled_and_nothing_predicted_is_perfect() -> None:
    found = _score([0, 0], [0, 0])

    assert (found.dice, found.iou, found.precision, found.recall) == (1.0, 1.0, 1.0, 1.0)
    assert (found.predicted_fraction, found.labelled_fraction) == (0.0, 0.0)


def test_predicting_nothing_has_no_precision() -> None:
    found = _score([0, 0], [1, 0])

    assert (found.dice, found.precision, found.recall, found.accuracy) == (0.0, 0.0, 0.0, 0.5)


def test_predicting_on_an_empty_label_has_no_recall() -> None:
    found = _score([1, 0], [0, 0])

    assert (found.dice, found.precision, found.recall) == (0.0, 0.0, 0.0)


def test_no_judged_voxel_gives_no_score() -> None:
    assert all(math.isnan(value) for value in _score([1, 0], [255, 255]).as_dict().values())


def test_several_classes_average_over_those_that_occur() -> None:
    # class 1: 1 hit of 1 predicted, 2 labelled; class 2: 1 hit of 2 predicted, 1 labelled
    found = _score([1, 2, 2, 0], [1, 1, 2, 0], classes=4)

    assert found.dice == pytest.approx(2 / 3)
    assert found.precision == pytest.approx((1 + 1 / 2) / 2)
    assert found.recall == pytest.approx((1 / 2 + 1) / 2)
    assert found.predicted_fraction == pytest.approx(3 / 4)


@settings(max_examples=30)
@given(st.integers(2, 18), st.integers(0, 2**32 - 1))
def test_counts_agree_with_numpy_and_do_not_see_unjudged_voxels(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, classes, 60)
    label = rng.integers(0, classes, 60)
    valid = rng.random(60) < 0.6
    expected = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(expected, (label[valid], prediction[valid]), 1)
    label[~valid] = 255

    matrix = confusion(
        torch.from_numpy(prediction), torch.from_numpy(label), torch.from_numpy(valid), classes
    )

    assert np.array_equal(matrix.numpy(), expected)


def test_counting_on_an_accelerator_never_asks_the_host_for_a_value() -> None:
    label = torch.tensor([0, 1, 1, 255], device="meta")

    matrix = confusion(torch.zeros(4, dtype=torch.int64, device="meta"), label, label < 2, 2)

    assert matrix.shape == (2, 2)  # a meta tensor has no values to give


def test_one_class_against_the_rest_keeps_its_counts() -> None:
    matrix = torch.tensor([[5, 1, 2], [3, 7, 4], [6, 8, 9]])

    assert one_against_rest(matrix, [1]).tolist() == [[5 + 2 + 6 + 9, 1 + 8], [3 + 4, 7]]
