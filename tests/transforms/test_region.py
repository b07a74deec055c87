"""Boxes inside, across and beside a volume with numbered voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch

from vesuv.data.labels import IGNORE
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.region import read_region

PLUS_TEN = IntensityMap((-np.inf,), (np.inf,), (-10.0,), (1.0,))


@dataclass
class Case:
    """A stored case in memory; the intensity of a voxel is its index, its class is 1."""

    shape: tuple[int, int, int]
    id: str = "case"

    @property
    def image(self) -> np.ndarray:
        return np.arange(np.prod(self.shape), dtype=np.uint16).reshape(1, *self.shape)

    @property
    def label(self) -> np.ndarray:
        return np.ones(self.shape, np.uint8)


def a_case(*shape: int) -> Any:
    return cast("Any", Case(cast("Any", shape)))


def test_voxels_outside_are_ignored_and_repeat_the_faces() -> None:
    region = read_region(a_case(2, 3, 4), (-1, -2, 1), (4, 6, 2))

    image, label = region.tensors(PLUS_TEN)

    assert image.shape == (1, 4, 6, 2)
    assert image.dtype == torch.float32
    inside = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)[:, :, 1:3] + 10
    expected = np.pad(inside, ((1, 1), (2, 1), (0, 0)), mode="edge")
    np.testing.assert_array_equal(image[0].numpy(), expected)
    labels = np.pad(np.ones_like(inside), ((1, 1), (2, 1), (0, 0)), constant_values=IGNORE)
    np.testing.assert_array_equal(label.numpy(), labels)


def test_only_voxels_inside_the_volume_are_copied() -> None:
    region = read_region(a_case(2, 3, 4), (-1, -2, 1), (4, 6, 2))

    assert region.image.shape == (1, 2, 3, 2)
    assert region.label.shape == (2, 3, 2)
    assert (region.offset, region.size) == ((1, 2, 0), (4, 6, 2))


@pytest.mark.parametrize("corner", [(20, 0, 0), (0, -4, 0)])
def test_a_box_beside_the_volume_is_refused(corner: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=rf"case case: box at \({corner[0]}, {corner[1]}, 0\)"):
        read_region(a_case(20, 20, 20), corner, (4, 4, 4))
