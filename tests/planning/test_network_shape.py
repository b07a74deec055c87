from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.planning.network_shape import SMALLEST_EDGE, shape_network

EDGES = st.tuples(*[st.integers(1, 400)] * 3)
SPACINGS = st.tuples(*[st.floats(0.1, 10.0)] * 3)


def test_a_cubic_volume_of_cubic_voxels_gets_a_cubic_patch() -> None:
    shape = shape_network(64**3, (125, 125, 125), (1.0, 1.0, 1.0), max_depth=3)

    assert shape.patch_size == (64, 64, 64)
    assert shape.strides == ((2, 2, 2),) * 3
    assert shape.kernels == ((3, 3, 3),) * 4
    assert set(shape.strides) == {(2, 2, 2)}
    assert set(shape.kernels) == {(3, 3, 3)}


def test_a_volume_thinner_than_the_patch_has_a_patch_that_fits_it() -> None:
    shape = shape_network(128**3, (122, 101, 30), (1.0, 1.0, 1.0), max_depth=4)

    # 30 voxels are halved twice (to 7.5); the patch is the whole volume, rounded down to 16, 16, 4.
    assert shape.patch_size == (112, 96, 28)
    assert shape.strides == ((2, 2, 2), (2, 2, 2), (2, 2, 1), (2, 2, 1))
    assert shape.kernels == ((3, 3, 3),) * 5


def test_a_patch_of_coarse_slices_is_about_cubic_in_space() -> None:
    shape = shape_network(64**3, (40, 256, 256), (6.5, 0.8, 0.8), max_depth=3)

    lengths = [
        edge * length for edge, length in zip(shape.patch_size, (6.5, 0.8, 0.8), strict=True)
    ]
    # Cube of 64³ voxels of 6.5x0.8x0.8: edge (64³ * 4.16)^(1/3) = 103; in voxels 15.8, 129, 129.
    assert shape.patch_size == (16, 128, 128)
    assert max(lengths) / min(lengths) < 1.1


def test_coarse_slices_are_not_halved_before_the_other_axes_are_as_coarse() -> None:
    shape = shape_network(64**3, (40, 256, 256), (4.0, 1.0, 1.0), max_depth=3)

    assert shape.strides == ((1, 2, 2), (2, 2, 2), (2, 2, 2))
    assert shape.kernels == ((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))


def test_a_volume_of_a_few_voxels_has_one_pooling() -> None:
    shape = shape_network(64**3, (5, 6, 7), (1.0, 1.0, 1.0), max_depth=3)

    assert shape.patch_size == (5, 6, 6)
    assert shape.strides == ((1, 1, 2),)


@given(EDGES, SPACINGS, st.sampled_from([32, 64, 128]), st.integers(1, 4))
def test_every_proposed_shape_is_a_network_and_fits_the_volume(
    edges: tuple[int, int, int], spacing: tuple[float, float, float], edge: int, depth: int
) -> None:
    shape = shape_network(edge**3, edges, spacing, depth)
    config = PlainUNetConfig(
        filters=16, depth=shape.depth, strides=shape.strides, kernels=shape.kernels
    )

    assert 1 <= shape.depth <= depth
    for axis in range(3):
        divisor = 2 ** config.halvings[axis]
        assert shape.patch_size[axis] % divisor == 0
        assert shape.patch_size[axis] <= max(edges[axis], divisor)
    assert shape.voxels <= 2 * max(edge**3, math.prod(edges))


@pytest.mark.parametrize("edge", [8, 9, 15, 16, 31, 100])
def test_no_pooling_leaves_fewer_voxels_than_the_smallest_edge(edge: int) -> None:
    shape = shape_network(128**3, (edge, 200, 200), (1.0, 1.0, 1.0), max_depth=4)

    divisor = math.prod(stride[0] for stride in shape.strides)
    assert shape.patch_size[0] // divisor >= SMALLEST_EDGE


@pytest.mark.parametrize("depth_spacing", [0.01, 1.0, 100.0])
def test_images_of_one_slice_have_a_square_patch_and_a_network_in_the_plane(
    depth_spacing: float,
) -> None:
    shape = shape_network(64**3, (1, 900, 700), (depth_spacing, 1.0, 1.0), 3)

    assert shape.patch_size == (1, 512, 512)
    assert shape.strides == ((1, 2, 2),) * 3
    assert shape.kernels == ((1, 3, 3),) * 4
