import numpy as np
import pytest
from skimage.measure import euler_number

from vesuv.evaluation.betti import betti_error, betti_numbers, euler_characteristic


def box(edge: int = 7) -> np.ndarray:
    mask = np.zeros((edge,) * 3, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    return mask


def hollow_box() -> np.ndarray:
    mask = box()
    mask[3, 3, 3] = False
    return mask


def drilled_box() -> np.ndarray:
    mask = box()
    mask[:, 3, 3] = False
    return mask


def test_betti_numbers_of_bodies_known_to_everybody() -> None:
    assert betti_numbers(np.zeros((3, 3, 3), bool)) == (0, 0, 0)
    assert betti_numbers(box()) == (1, 0, 0)
    assert betti_numbers(hollow_box()) == (1, 0, 1)
    assert betti_numbers(drilled_box()) == (1, 1, 0)
    assert betti_numbers(np.ones((1, 1, 1), bool)) == (1, 0, 0)


def test_voxels_that_touch_at_an_edge_are_two_components() -> None:
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0, 0] = mask[0, 1, 1] = True

    assert betti_numbers(mask) == (2, 0, 0)


def test_a_hollow_open_at_a_corner_only_is_no_cavity() -> None:
    mask = np.ones((5, 5, 5), bool)
    mask[1, 1, 1] = mask[0, 0, 0] = False

    assert betti_numbers(mask).cavities == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_euler_characteristic_is_that_of_scikit_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(2, 12, 3)) < rng.uniform(0.2, 0.8)

    assert euler_characteristic(mask) == euler_number(mask, connectivity=1)


def test_the_error_is_the_difference_of_each_number() -> None:
    assert betti_error(hollow_box(), drilled_box()) == (0, 1, 1)
    assert betti_error(box(), np.zeros((7, 7, 7), bool)) == (1, 0, 0)
