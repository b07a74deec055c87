import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

from vesuv.evaluation.distances import SurfaceDistances, surface_distances


def voxel(*place: int) -> np.ndarray:
    mask = np.zeros((6, 6, 6), bool)
    mask[place] = True
    return mask


def test_two_voxels_are_as_far_apart_as_their_centres() -> None:
    assert surface_distances(voxel(1, 1, 1), voxel(1, 4, 5)) == SurfaceDistances(5.0, 5.0)


def test_spacing_stretches_the_axes() -> None:
    result = surface_distances(voxel(1, 1, 1), voxel(3, 1, 1), spacing=(2.5, 1.0, 1.0))

    assert result.hd95 == 5.0


def test_the_average_runs_over_the_voxels_of_both_surfaces() -> None:
    both = voxel(1, 1, 1) | voxel(1, 1, 4)

    result = surface_distances(both, voxel(1, 1, 1))

    assert result.average == pytest.approx((0 + 3 + 0) / 3)
    assert result.hd95 == pytest.approx(np.percentile([0, 3], 95))


@pytest.mark.filterwarnings("ignore::FutureWarning:monai")  # MONAI warns of its own call
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_it_agrees_with_monai(spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    masks = [np.pad(rng.random((12, 10, 9)) < share, 1) for share in (0.02, 0.03)]
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in masks]
    options = {"include_background": True, "spacing": spacing}

    result = surface_distances(*masks, spacing=spacing)

    hd95 = compute_hausdorff_distance(*tensors, percentile=95, **options)
    average = compute_average_surface_distance(*tensors, symmetric=True, **options)
    assert result.hd95 == pytest.approx(hd95.item(), rel=1e-5)
    assert result.average == pytest.approx(average.item(), rel=1e-5)


def test_empty_masks_have_defined_answers() -> None:
    empty = np.zeros((6, 6, 6), bool)

    assert surface_distances(empty, empty) == SurfaceDistances(0.0, 0.0)
    assert surface_distances(empty, voxel(1, 1, 1)) == SurfaceDistances(math.inf, math.inf)
    assert surface_distances(voxel(1, 1, 1), empty) == SurfaceDistances(math.inf, math.inf)


@pytest.mark.parametrize(("axis", "distance"), [(0, 6.0), (1, 2.0), (2, 2.0)])
def test_planes_of_long_voxels_are_as_far_apart_as_their_spacing_says(
    axis: int, distance: float
) -> None:
    masks = np.zeros((2, 9, 9, 9), bool)
    for mask, at in zip(masks, (3, 5), strict=True):
        mask[(slice(None),) * axis + (at,)] = True

    result = surface_distances(*masks, spacing=(3.0, 1.0, 1.0))

    assert result == SurfaceDistances(distance, distance)
