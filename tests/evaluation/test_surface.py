import math

import numpy as np
import pytest
import torch
from monai.metrics.surface_dice import compute_surface_dice
from monai.metrics.utils import get_code_to_measure_table

from vesuv.evaluation.nearest import VOXELS
from vesuv.evaluation.surface import _areas, surface_dice
from vesuv.types import Spacing


def plate(at: int, thickness: int = 2) -> np.ndarray:
    mask = np.zeros((10, 10, 16), bool)
    mask[:, :, at : at + thickness] = True
    return mask


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_areas_are_those_of_the_marching_cubes_table_of_monai(spacing: Spacing) -> None:
    table, kernel = get_code_to_measure_table(spacing, device="cpu")

    assert kernel.flatten().tolist() == [128, 64, 32, 16, 8, 4, 2, 1]
    np.testing.assert_allclose(_areas(spacing), table.numpy(), atol=1e-5)


def test_the_areas_of_a_voxel_add_up() -> None:
    assert 8 * _areas(VOXELS)[1] == pytest.approx(math.sqrt(3))
    assert _areas(VOXELS)[0b00001111] == 1.0


def test_the_areas_of_long_voxels_by_hand() -> None:
    areas = _areas((3.0, 1.0, 1.0))

    # faces across z, y and x: the bit of a voxel is 4 z + 2 y + x
    assert areas[0b00001111] == 1 * 1
    assert areas[0b00110011] == areas[0b01010101] == 3 * 1
    # a corner cut off half-way along edges of 3, 1 and 1: a triangle (1.5, 0.5, 0.5)
    sides = math.hypot(1.5, 0.5), math.hypot(1.5, 0.5), math.hypot(0.5, 0.5)
    half = sum(sides) / 2
    heron = math.sqrt(half * math.prod(half - side for side in sides))
    assert areas[1] == pytest.approx(heron)


@pytest.mark.parametrize(("axis", "distance"), [(0, 6.0), (1, 2.0), (2, 2.0)])
def test_planes_two_voxels_apart_are_two_voxel_edges_apart(axis: int, distance: float) -> None:
    masks = np.zeros((2, 9, 9, 9), bool)
    for mask, at in zip(masks, (3, 5), strict=True):
        mask[(slice(None),) * axis + (at,)] = True
    spacing = (3.0, 1.0, 1.0)

    # each plane, one voxel thick, has two sides: one voxel edge away from the other plane's nearer
    # side, and two
    edge = spacing[axis]
    shares = surface_dice(*masks, (0.99 * edge, edge, distance), spacing=spacing)

    assert shares == pytest.approx((0.0, 0.5, 1.0))


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5, 3.0])
def test_random_masks_of_long_voxels_score_what_brute_force_says(tolerance: float) -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((2, 6, 7, 5)) < 0.2
    spacing = (3.0, 1.0, 0.5)

    (share,) = surface_dice(*masks, (tolerance,), spacing=spacing)

    assert share == pytest.approx(brute_force(*masks, tolerance, spacing))


def brute_force(
    prediction: np.ndarray, label: np.ndarray, tolerance: float, spacing: Spacing
) -> float:
    """Compare all surface elements with all others; areas are those of MONAI's table."""
    table = get_code_to_measure_table(spacing, device="cpu")[0].double().numpy()
    surfaces = []
    for mask in (prediction, label):
        padded = np.pad(mask, 1)
        places, areas = [], []
        for place in np.ndindex(*(length - 1 for length in padded.shape)):
            corner = padded[tuple(slice(start, start + 2) for start in place)]
            if corner.any() and not corner.all():
                places.append(np.multiply(place, spacing))
                areas.append(table[int("".join(map(str, corner.astype(int).flat)), 2)])
        surfaces.append((np.array(places), np.array(areas)))
    near = 0.0
    for (places, areas), (others, _) in (surfaces, surfaces[::-1]):
        distances = np.linalg.norm(places[:, None] - others[None], axis=2).min(axis=1)
        near += areas[distances <= tolerance].sum()
    return float(near / (surfaces[0][1].sum() + surfaces[1][1].sum()))


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


def test_elements_beside_ignored_voxels_just_outside_both_masks_do_not_count() -> None:
    prediction, label = np.zeros((2, 6, 6, 6), bool)
    prediction[1:4, 1:5, 1:5] = label[1:3, 1:5, 1:5] = True
    valid = np.ones_like(label)
    valid[4] = False  # between the face that only the prediction has, and the end of the volume

    whole = surface_dice(prediction, label, (0.0,))[0]
    judged = surface_dice(prediction, label, (0.0,), valid)[0]

    assert judged > whole
    wider = [np.pad(mask, 2) for mask in (prediction, label)]
    for mask in wider:
        mask[6, 2, 2] = True  # an ignored voxel
    assert judged == surface_dice(*wider, (0.0,), np.pad(valid, 2, constant_values=True))[0]
