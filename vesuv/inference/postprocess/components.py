"""Steps that keep, remove or fill whole components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from vesuv.config.postprocess import Step
from vesuv.data.components import ComponentLabels, label_components
from vesuv.inference.postprocess.lengths import num_voxels
from vesuv.types import Mask, Spacing

Connectivity = Literal[6, 18, 26]
"""Neighbours of a voxel: 6 by faces, 18 by faces and edges, 26 by faces, edges and corners."""

Count = Annotated[int, Field(ge=1, le=2**40)]


class RemoveSmall(Step):
    """Remove components of fewer than `voxels` voxels, or of less than `volume`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["voxels"]}, {"required": ["volume"]}]}
    )
    is_global: ClassVar[bool] = True
    suffixes: ClassVar[Mapping[str, str]] = {
        "voxels": " voxels",
        "volume": " {unit}³",
        "connectivity": "-connected",
    }
    name: Literal["remove_small"] = "remove_small"
    voxels: Count | None = None
    """Smallest component that is kept, in voxels; instead of `volume`."""
    volume: Annotated[float, Field(gt=0.0)] | None = None
    """Smallest component that is kept, in the cubed unit of the files' spacing."""
    connectivity: Connectivity = 26
    """Neighbours of a voxel: 6 by faces, 18 also by edges, 26 also by corners."""

    @model_validator(mode="after")
    def _one_size(self) -> RemoveSmall:
        if (self.voxels is None) == (self.volume is None):
            found = "neither" if self.voxels is None else "both"
            raise ValueError(
                "needs either voxels or volume (in the cubed unit of the spacing), found " + found
            )
        return self

    def __call__(self, volume: Mask, spacing: Spacing) -> Mask:
        return remove_small(volume, self.min_voxels(spacing), self.connectivity)

    def min_voxels(self, spacing: Spacing) -> int:
        """Return the size in voxels of the smallest component that is kept."""
        if self.volume is not None:
            return num_voxels(self.volume, spacing)
        assert self.voxels is not None
        return self.voxels


class KeepLargest(Step):
    """Keep the largest components only."""

    is_global: ClassVar[bool] = True
    suffixes: ClassVar[Mapping[str, str]] = {"connectivity": "-connected"}
    name: Literal["keep_largest"] = "keep_largest"
    num: Count = 1
    """Number of components."""
    connectivity: Connectivity = 26
    """Neighbours of a voxel: 6 by faces, 18 also by edges, 26 also by corners."""

    def __call__(self, volume: Mask, _spacing: Spacing) -> Mask:
        return keep_largest(volume, self.num, self.connectivity)


class FillCavities(Step):
    """Fill enclosed background: no path of shared faces leads to the border of the volume.

    In a volume of one slice: to the border of the slice.
    """

    is_global: ClassVar[bool] = True
    name: Literal["fill_cavities"] = "fill_cavities"

    def __call__(self, volume: Mask, _spacing: Spacing) -> Mask:
        return fill_cavities(volume, in_plane=True)


def remove_small(mask: Mask, voxels: int, connectivity: Connectivity = 26) -> Mask:
    """Remove components of fewer than `voxels` voxels."""
    labels, num = label_components(mask, connectivity)
    return (component_sizes(labels, num) >= voxels)[labels]


def keep_largest(mask: Mask, num: int = 1, connectivity: Connectivity = 26) -> Mask:
    """Keep the `num` largest components; of equal sizes those with the first voxels."""
    labels, num_components = label_components(mask, connectivity)
    sizes = component_sizes(labels, num_components)
    is_largest = np.zeros(len(sizes), bool)
    is_largest[np.argsort(-sizes, kind="stable")[:num]] = True
    is_largest[0] = False
    return is_largest[labels]


def fill_cavities(mask: Mask, *, in_plane: bool = False) -> Mask:
    """Fill background from which no path of shared faces leads to the border of the volume.

    Args:
        mask: (z, y, x).
        in_plane: See `border_axes`.
    """
    labels, num = label_components(~mask, 6)
    reaches_border = np.zeros(num + 1, bool)
    for axis in border_axes(mask.shape, in_plane):
        for end in (0, -1):
            reaches_border[np.take(labels, end, axis=axis)] = True
    reaches_border[0] = False
    return ~reaches_border[labels]


def border_axes(shape: Sequence[int], in_plane: bool) -> Sequence[int]:
    """Return the axes whose ends are the border of a volume.

    Args:
        shape: (z, y, x).
        in_plane: Leave out axes of one voxel, so that a slice has the border of an image.
    """
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    return axes if in_plane and axes else range(3)


def component_sizes(labels: ComponentLabels, num: int) -> NDArray[np.int64]:
    """Return the number of voxels of each label, 0 for background.

    Args:
        labels: 0 to `num`.
        num: Number of components.
    """
    sizes = np.zeros(num + 1, np.int64)
    for plane in labels:  # plane by plane, as bincount makes a copy of eight bytes a voxel
        sizes += np.bincount(plane.ravel(), minlength=num + 1)
    sizes[0] = 0
    return sizes
