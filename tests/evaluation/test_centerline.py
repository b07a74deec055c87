import numpy as np
import pytest

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
