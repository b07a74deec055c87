"""Types that all packages share, each defined once.

Arrays are (z, y, x), with channel (c, z, y, x); tensors of a batch (b, c, z, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Voxels of any number type."""
Mask = npt.NDArray[np.bool_]
"""Foreground is True."""
ClassArray = npt.NDArray[np.uint8]
"""Class index of each voxel, `vesuv.data.labels.IGNORE` where the voxel is ignored."""

Shape = tuple[int, int, int]
"""Voxels along z, y, x: shape of a volume, patch size, or position of a voxel."""
Spacing = tuple[float, float, float]
"""Edges of a voxel along z, y, x, in the unit of the file."""
Region = tuple[slice, slice, slice]
"""Box of voxels along z, y, x; start and stop are set and lie in the volume."""

Progress = Callable[[int, int], None]
"""Called with the number of finished items and the number of all items."""


def no_progress(_done: int, _total: int) -> None:
    """Ignore the progress."""


ShowProgress = Callable[[str, str], AbstractContextManager[Progress]]
"""Called before long work with a title and a unit, such as "windows"; enters a context with the
function that reports its progress."""


def no_shown_progress(_title: str, _unit: str) -> AbstractContextManager[Progress]:
    """Return a context that ignores the progress."""
    return nullcontext(no_progress)


Say = Callable[[str], None]
"""Called with a message for the user."""


def silent(_message: str) -> None:
    """Ignore the message."""
