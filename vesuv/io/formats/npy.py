"""NumPy files, which hold no geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.volume import NO_SPACING, Volume, check_claimed_size, require_volume
from vesuv.types import Array


def read(path: Path) -> Volume:
    """Read (z, y, x) or (c, z, y, x); the spacing is 1."""
    with open_regular(path) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            header = np.lib.format.read_array_header_2_0
        shape, _, kind = header(file)
        check_claimed_size(shape, kind.itemsize, path.stat().st_size - file.tell())
        file.seek(0)
        array = np.lib.format.read_array(file, allow_pickle=False)
    return Volume(require_volume(array, "shape"), NO_SPACING, None)


def write(path: Path, array: Array, like: Volume | None) -> None:  # noqa: ARG001 - no geometry
    """Write in C order."""
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)
