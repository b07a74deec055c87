"""A mask becomes a calibrated curve; answers by hand."""

import math

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.evaluation.digitization import (
    CURVE,
    Scale,
    centerline,
    curve_errors,
    sample_curve,
)
from vesuv.evaluation.measure import Pair
from vesuv.evaluation.overlap import scores

NAN = math.nan
MASK = np.array(
    [
        [
            [0, 1, 1, 0, 0, 0],  # middle of columns 1 and 2
            [0, 0, 0, 0, 0, 0],
            [1, 0, 1, 1, 1, 0],  # the longer run
            [0, 1, 0, 0, 0, 1],  # of equal runs the first
        ]
    ],
    bool,
)
SCALE = Scale(
    left=1, right=5, left_value=0, right_value=100, top=0, bottom=3, top_depth=10, bottom_depth=13
)


def test_the_centreline_is_the_middle_of_each_row_s_longest_run() -> None:
    np.testing.assert_array_equal(centerline(MASK), [1.5, NAN, 3.0, 1.0])


def test_a_volume_of_several_slices_has_no_centreline() -> None:
    with pytest.raises(InputError, match="measured on images of one slice, found 2"):
        centerline(np.ones((2, 3, 3), bool))


def test_columns_become_values_and_gaps_are_filled() -> None:
    depths, values, coverage = sample_curve(MASK, SCALE, num_samples=7)

    np.testing.assert_allclose(depths, [10, 10.5, 11, 11.5, 12, 12.5, 13])
    # columns 1.5, 3 and 1 are 12.5, 50 and 0; row 1 is half way between rows 0 and 2
    np.testing.assert_allclose(values, [12.5, 21.875, 31.25, 40.625, 50, 25, 0])
    assert coverage == 3 / 4


def test_nothing_is_made_up_above_and_below_the_curve() -> None:
    mask = MASK.copy()
    mask[0, 0] = False

    _, values, coverage = sample_curve(mask, SCALE, num_samples=4)

    np.testing.assert_allclose(values, [NAN, NAN, 50, 0])
    assert coverage == 2 / 4


def test_a_mask_without_the_curve_has_no_values() -> None:
    _, values, coverage = sample_curve(np.zeros((1, 4, 6), bool), SCALE, num_samples=4)

    assert np.isnan(values).all()
    assert coverage == 0


def test_a_scale_may_fall_from_left_to_right() -> None:
    scale = Scale(0, 4, 2.0, 1.0, 0, 1, 0, 1)

    np.testing.assert_allclose(scale.values(np.array([0.0, 1.0, 4.0])), [2.0, 1.75, 1.0])
    assert scale.full_value == 1.0


def test_errors_by_hand() -> None:
    errors = curve_errors(np.array([1.0, 2, NAN, 5]), np.array([1.0, 4, 4, 4]))

    # differences 0, -2, 1 at true values 1, 4, 4, whose mean is 3
    assert errors.mae == 1.0
    assert errors.mse == pytest.approx(5 / 3)
    assert errors.r2 == pytest.approx(1 - 5 / 6)


def test_no_common_value_has_no_error_and_a_straight_line_no_r2() -> None:
    assert np.isnan(curve_errors(np.array([NAN]), np.array([1.0]))).all()
    flat = curve_errors(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    assert (flat.mae, flat.mse) == (1.0, 1.0)
    assert math.isnan(flat.r2)


def pair(prediction: np.ndarray, label: np.ndarray) -> Pair:
    confusion = np.zeros((2, 2), np.int64)
    np.add.at(confusion, (label.astype(int), prediction.astype(int)), 1)
    valid = np.ones_like(label)
    import torch

    overlap = scores(torch.from_numpy(confusion), ((1,),))
    return Pair(prediction, label, valid, (1.0, 1.0, 1.0), overlap)


def test_the_measure_compares_centrelines_in_widths_of_the_image() -> None:
    label = np.zeros((1, 4, 10), bool)
    label[0, [0, 1, 2, 3], [2, 4, 6, 8]] = True
    prediction = np.zeros_like(label)
    prediction[0, [0, 2], [3, 6]] = True

    row = CURVE.row(pair(prediction, label))

    # row 1 is filled by 4.5, row 3 lies below the predicted curve: errors 1, 0.5, 0 of 10 columns
    assert row["curve_mae"] == pytest.approx(0.05)
    assert row["curve_mse"] == pytest.approx(1.25 / 300)
    assert row["curve_r2"] == pytest.approx(1 - 1.25 / 8)
    assert row["curve_coverage"] == 0.5


def test_an_empty_prediction_has_no_curve() -> None:
    row = CURVE.row(pair(np.zeros_like(MASK), MASK))

    assert math.isnan(row["curve_mae"])
    assert row["curve_coverage"] == 0
