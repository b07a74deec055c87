"""Reading of a box of a prepared case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.padding import pad_to_box
from vesuv.types import Array, ClassArray, Shape


@dataclass(frozen=True)
class Region:
    """A box of a case, clipped to the volume."""

    image: Array
    """(c, z, y, x), as stored."""
    label: ClassArray
    """(z, y, x)."""
    offset: Shape
    """Voxels of the requested box before the arrays' first voxel, along each axis."""
    size: Shape
    """Edges of the requested box."""

    def tensors(self, intensity_map: IntensityMap) -> tuple[Tensor, Tensor]:
        """Return the whole box: normalised image (c, *size) and label (*size).

        Outside the volume the image repeats its nearest voxel, and the label is IGNORE.
        """
        image = intensity_map.apply(torch.from_numpy(self.image))
        label = torch.from_numpy(self.label)
        return (
            pad_to_box(image, self.offset, self.size, "edge"),
            pad_to_box(label, self.offset, self.size, IGNORE),
        )


def read_region(case: PreparedCase, corner: Shape, size: Shape) -> Region:
    """Copy the part of a box inside the volume.

    Raises:
        ValueError: The box does not touch the volume.
    """
    start = [max(c, 0) for c in corner]
    stop = [min(c + s, n) for c, s, n in zip(corner, size, case.shape, strict=True)]
    if any(a >= b for a, b in zip(start, stop, strict=True)):
        raise ValueError(f"case {case.id}: box at {corner} of {size} lies outside {case.shape}")
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    z, y, x = (a - c for a, c in zip(start, corner, strict=True))
    image = np.array(case.image[(slice(None), *box)])
    return Region(image, np.array(case.label[box]), (z, y, x), size)
