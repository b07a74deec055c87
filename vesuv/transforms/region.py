"""A box of a case, read from the prepared data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.padding import placed
from vesuv.types import Array, ClassArray, Shape


@dataclass(frozen=True)
class Region:
    """A box of a case, cut to the volume."""

    image: Array
    """(c, z, y, x), as stored."""
    label: ClassArray
    """(z, y, x)."""
    offset: Shape
    """Voxels of the asked box that lie before the arrays' first voxel, along each axis."""
    size: Shape
    """Edges of the asked box."""

    def tensors(self, intensity_map: IntensityMap) -> tuple[Tensor, Tensor]:
        """Return the whole box: image (c, *size) normalised and label (*size).

        Outside the volume the image is 0 after normalising and the label IGNORE.
        """
        image = intensity_map.apply(torch.from_numpy(self.image))
        label = torch.from_numpy(self.label)
        return (
            placed(image, self.offset, self.size),
            placed(label, self.offset, self.size, IGNORE),
        )


def read_region(case: PreparedCase, corner: Shape, size: Shape) -> Region:
    """Copy the part of a box that lies in the volume.

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
