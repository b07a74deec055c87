"""Which cases are too large to be prepared as a whole."""

from __future__ import annotations

import math

from vesuv.data.case_files import LazyCase, are_lazy, open_case_files
from vesuv.data.case_paths import CasePaths
from vesuv.data.preparation import checked_spacing
from vesuv.data.resample import resampled_shape
from vesuv.data.unlabelled import open_unlabelled
from vesuv.errors import InputError
from vesuv.io.memory import memory_limit
from vesuv.types import Spacing

LARGE_VOXELS = 2**30
"""Volumes of more voxels are prepared in parts and predicted in blocks, whatever the memory."""
_BYTES_RESAMPLED = 24
"""Bytes that resampling a whole case takes for a voxel, besides image and label."""


def open_if_large(files: CasePaths, spacing: Spacing | None, share: float) -> LazyCase | None:
    """Open a case whose volumes are too large to be read whole; None for other cases.

    Args:
        files: Its files; None is also returned where they can only be read whole, or not at all.
        spacing: Spacing to resample to; None keeps the case's own.
        share: Share of the memory that one case may take.
    """
    if not are_lazy(files):
        return None
    try:
        volumes = open_case_files(files) if files.fill is None else open_unlabelled(files)
        native = checked_spacing(volumes.case)
    except InputError:
        return None  # reading it as a whole says what is wrong
    image = volumes.image
    num_bytes = math.prod(image.shape) * image.dtype.itemsize
    num_bytes += volumes.num_voxels * (volumes.label.dtype.itemsize + 1)
    if spacing not in (None, native):
        z, y, x = volumes.label.shape[1:]
        working = resampled_shape((z, y, x), native, spacing or native)
        num_bytes += _BYTES_RESAMPLED * max(volumes.num_voxels, math.prod(working))
    is_large = volumes.num_voxels > LARGE_VOXELS or num_bytes > memory_limit() * share
    return volumes if is_large else None
