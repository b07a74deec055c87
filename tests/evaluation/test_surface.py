import math

import numpy as np
import pytest
import torch
from monai.metrics.surface_dice import compute_surface_dice
from monai.metrics.utils import get_code_to_measure_table

from vesuv.evaluation.surface import _areas, surface_dice


def plate(at: int, thickness: int = 2) -> np.ndarray:
    mask = np.zeros((10, 10, 16), bool)
    mask[:, :, at : at + thickness] = True
    return mask


def test_areas_are_those_of_the_marching_cubes_table_of_monai() -> None:
    table, kernel = get_code_to_measure_table((1, 1, 1), device="cpu")

    assert kernel.flatten().tolist() == [128, 64, 32, 16, 8, 4, 2, 1]
    np.testing.assert_allclose(_areas(), table.numpy(), atol=1e-6)


def test_the_areas_of_a_voxel_add_up() -> None:
    assert 8 * _areas()[1] == pytest.approx(math.sqrt(3))
    assert _areas()[0b00001111] == 1.0


def test_equal_masks_agree_at_any_tolerance() -> None:
    assert surface_dice(plate(4), plate(4), (0.0, 1.0, 2.5)) == (1.0, 1.0, 1.0)


def test_of_two_voxels_with_one_between_the_facing_halves_are_near_at_one() -> None:
    prediction, label = np.zeros((2, 6, 6, 6), bool)
    prediction[2, 2, 2] = label[2, 2, 4] = True

    assert surface_dice(prediction, label, (0.0, 1.0, 2.0)) == pytest.approx((0.0, 0.5, 1.0))


@pytest.mark.filterwarnings("ignore::FutureWarning:monai")  # MONAI warns of its own call
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 1.5, 2.0, 3.0])
def test_random_masks_score_what_monai_says(tolerance: float) -> None:
    rng = np.random.default_rng(3)
    masks = [rng.random((12, 9, 14)) < density for density in (0.01, 0.02)]
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in masks]

    expected = compute_surface_dice(
        *tensors, class_thresholds=[tolerance], include_background=True, use_subvoxels=True
    )

    assert surface_dice(*masks, (tolerance,))[0] == pytest.approx(expected.item(), abs=1e-6)


def test_empty_masks_have_defined_answers() -> None:
    empty = np.zeros((10, 10, 16), bool)

    assert surface_dice(empty, empty, (1.0, 2.0)) == (1.0, 1.0)
    assert surface_dice(plate(4), empty, (2.0,)) == (0.0,)
    assert surface_dice(empty, plate(4), (2.0,)) == (0.0,)


def test_elements_beside_voxels_that_are_not_valid_do_not_count() -> None:
    prediction, label = plate(4), plate(4)
    prediction[:, :, 12:14] = True
    valid = np.ones_like(label)
    valid[:, :, 10:] = False

    assert surface_dice(prediction, label, (1.0,))[0] < 0.8
    assert surface_dice(prediction, label, (1.0,), valid) == (1.0,)
    assert surface_dice(prediction, label, (1.0,), np.zeros_like(valid)) == (1.0,)
