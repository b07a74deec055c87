"""The types that every room shares, each named once.

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
"""Class index of each voxel, `vesuv.data.labels.IGNORE` where the voxel is not judged."""

Shape = tuple[int, int, int]
"""Voxels along z, y, x: a volume's shape, a patch size, a voxel's place."""
Spacing = tuple[float, float, float]
"""Voxel edges along z, y, x in the file's unit."""

Progress = Callable[[int, int], None]
"""Called with the number of finished items and the number of all items."""


def no_progress(_done: int, _total: int) -> None:
    """Ignore progress."""


ShowProgress = Callable[[str, str], AbstractContextManager[Progress]]
"""Called before long work with a title and what is counted, as in "windows"; gives what is called
with its progress."""


def no_shown_progress(_title: str, _unit: str) -> AbstractContextManager[Progress]:
    """Show no progress."""
    return nullcontext(no_progress)


Say = Callable[[str], None]
"""Called with a sentence for the user."""


def silent(_sentence: str) -> None:
    """Ignore a sentence."""
