import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from vesuv.evaluation.centerline import cldice, medial_surface, surface_cldice


def tube(radius: int, length: int = 30) -> np.ndarray:
    z, y, _ = np.indices((11, 11, length))
    return (abs(z - 5) <= radius) & (abs(y - 5) <= radius)


def sheet(low: int, high: int) -> np.ndarray:
    mask = np.zeros((20, 20, 20), bool)
    mask[:, low:high] = True
    return mask


@pytest.mark.parametrize("measure", [cldice, surface_cldice])
def test_empty_masks_have_defined_answers(measure) -> None:
    empty = np.zeros((11, 11, 30), bool)

    assert measure(empty, empty) == 1.0
    assert measure(tube(1), empty) == 0.0
    assert measure(empty, tube(1)) == 0.0


@pytest.mark.parametrize("measure", [cldice, surface_cldice])
def test_equal_masks_score_one_and_masks_apart_zero(measure) -> None:
    assert measure(tube(2), tube(2)) == 1.0
    assert measure(sheet(2, 5), sheet(12, 15)) == 0.0


def test_a_thinner_tube_with_the_same_centre_loses_nothing() -> None:
    assert cldice(tube(1), tube(3)) == pytest.approx(1.0, abs=0.05)


def test_half_a_tube_has_full_precision_and_half_the_recall() -> None:
    half = tube(1)
    half[:, :, 15:] = False

    assert cldice(half, tube(1)) == pytest.approx(2 * 0.5 / 1.5, abs=0.05)


def test_the_medial_surface_of_a_plate_is_its_middle() -> None:
    np.testing.assert_array_equal(medial_surface(sheet(5, 10)), sheet(7, 8))


def test_a_plate_two_voxels_thick_is_its_own_medial_surface() -> None:
    np.testing.assert_array_equal(medial_surface(sheet(5, 7)), sheet(5, 7))
    assert medial_surface(sheet(0, 20)).all()


def test_only_a_sheet_that_holds_the_middle_of_the_other_scores() -> None:
    thin, thick = sheet(7, 10), sheet(6, 11)

    assert surface_cldice(thin, thick) == 1.0
    assert surface_cldice(sheet(5, 10), sheet(7, 14)) == 0.0


@pytest.mark.parametrize("thickness", range(1, 9))
@pytest.mark.parametrize("measure", [cldice, surface_cldice])
def test_sheets_apart_score_zero_at_any_thickness(measure, thickness: int) -> None:
    first, second = np.zeros((2, 40, 40, 24), bool)
    first[:, :, 1 : 1 + thickness] = True
    second[:, :, 12 : 12 + thickness] = True

    assert measure(first, second) == 0.0
    assert measure(first, first) == 1.0


def line(start: int, stop: int) -> np.ndarray:
    mask = np.zeros((5, 5, 30), bool)
    mask[2, 2, start:stop] = True
    return mask


def test_lines_score_what_the_definition_says() -> None:
    # a line is its own skeleton: 5 of 20 predicted voxels and 5 of 8 labelled ones lie in the other
    precision, sensitivity = 5 / 20, 5 / 8

    expected = 2 * precision * sensitivity / (precision + sensitivity)
    assert cldice(line(0, 20), line(15, 23)) == pytest.approx(expected)


def test_a_tube_beside_a_tube_scores_by_the_axes_inside_the_other() -> None:
    tubes = np.zeros((3, 9, 9, 30), bool)
    for tube, shift in zip(tubes, (0, 1, 2), strict=True):
        tube[3:6, 2 + shift : 5 + shift] = True

    # the axis of a 3 x 3 tube is inside a tube one voxel beside it, outside one two voxels away
    assert cldice(tubes[0], tubes[1]) == 1.0
    assert cldice(tubes[0], tubes[2]) == 0.0


def test_a_predicted_piece_that_the_label_lacks_costs_precision() -> None:
    prediction = line(0, 20)
    prediction[4, 4, :10] = True

    # 20 of 30 predicted skeleton voxels lie in the label, all 20 labelled ones in the prediction
    assert cldice(prediction, line(0, 20)) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_the_medial_surface_is_the_ridge_of_the_distance_transform(share: float) -> None:
    mask = np.random.default_rng(0).random((24, 30, 22)) < share
    mask[:, :5] = False  # so that there is something to crop

    depth = np.pad(distance_transform_edt(mask), 1, mode="edge")
    ridge = np.zeros_like(mask)
    for place in np.argwhere(mask):
        for axis in np.eye(3, dtype=int):
            here, before, after = (depth[tuple(place + 1 + k * axis)] for k in (0, -1, 1))
            ridge[tuple(place)] |= here >= max(before, after) and here > min(before, after)

    assert np.array_equal(medial_surface(mask), ridge)
