"""Connected components of a mask."""

from __future__ import annotations

import math
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from vesuv.types import Mask

ComponentLabels = NDArray[np.unsignedinteger]


def label_components(mask: Mask, connectivity: Literal[6, 18, 26]) -> tuple[ComponentLabels, int]:
    """Label components 1, 2, ... in the order of their first voxels; also return their number.

    cc3d reserves one label for four voxels. A small or thin volume with odd edges can need more, up
    to one label in each block of 2 x 2 x 2 voxels, so its edges are padded to even lengths.
    """
    shape = mask.shape
    if math.prod((n + 1) // 2 for n in shape) > mask.size // 4:
        mask = np.pad(mask, [(0, n % 2) for n in shape])
    labels, num = cc3d.connected_components(
        np.require(mask, requirements="W"),  # cc3d requires it, but writes nothing
        connectivity=connectivity,
        return_N=True,
        binary_image=True,
    )
    return labels[tuple(slice(n) for n in shape)], num
