import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from vesuv.losses.distance import boundary_distance, squared_distance


def scipys(sites: np.ndarray, reach: int) -> np.ndarray:
    """Squared distance, cut at reach; SciPy's result means nothing without a site."""
    beyond = (reach + 1) ** 2
    if not sites.any():
        return np.full(sites.shape, beyond)
    squared = np.rint(distance_transform_edt(~sites) ** 2).astype(int)
    return np.where(squared <= reach**2, squared, beyond)


def ours(sites: np.ndarray, reach: int) -> np.ndarray:
    """Everything beyond reach as one value."""
    squared = squared_distance(torch.from_numpy(sites), reach).numpy().astype(int)
    return np.where(squared <= reach**2, squared, (reach + 1) ** 2)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.002, 0.02, 0.3, 1.0]),
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    reach=st.integers(1, 13),
)
def test_distances_equal_scipys_up_to_the_reach(
    seed: int, share: float, shape: tuple[int, int, int], reach: int
) -> None:
    sites = np.random.default_rng(seed).random(shape) < share

    np.testing.assert_array_equal(ours(sites, reach), scipys(sites, reach))


@pytest.mark.parametrize(
    ("reach", "dtype"), [(10, torch.uint8), (11, torch.int16), (200, torch.int32)]
)
def test_integers_are_as_small_as_the_reach_allows(reach: int, dtype: torch.dtype) -> None:
    sites = torch.zeros(1, 1, 300, dtype=torch.bool)
    sites[0, 0, 0] = True

    squared = squared_distance(sites, reach)

    assert squared.dtype == dtype
    assert squared[0, 0, reach] == reach**2
    assert (squared[0, 0, reach + 1 :] == (reach + 1) ** 2).all()


def test_volumes_of_a_batch_do_not_see_each_other() -> None:
    sites = torch.zeros(2, 1, 1, 1, 4, dtype=torch.bool)
    sites[0, ..., 0] = True

    squared = squared_distance(sites, reach=5)

    assert squared[0].flatten().tolist() == [0, 1, 4, 9]
    assert squared[1].flatten().tolist() == [36] * 4


def test_boundary_distance_is_to_the_nearest_valid_voxel_of_the_other_side() -> None:
    target = torch.tensor([1, 1, 0, 0, 0, 0]).bool().view(1, 1, 1, 1, 6)
    valid = torch.tensor([1, 1, 0, 0, 1, 1]).bool().view(1, 1, 1, 1, 6)

    distance = boundary_distance(target, valid, reach=9)

    assert distance.flatten()[[0, 1, 4, 5]].tolist() == [4.0, 3.0, 3.0, 4.0]


def test_a_patch_of_one_side_is_beyond_the_reach_everywhere() -> None:
    target = torch.zeros(1, 1, 2, 2, 2, dtype=torch.bool)

    distance = boundary_distance(target, torch.ones_like(target), reach=4)

    assert (distance == 5).all()
