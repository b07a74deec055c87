"""Unit of the lengths in scores: the one that a case's files state."""

from __future__ import annotations

from vesuv.errors import InputError
from vesuv.io.formats import Volume
from vesuv.io.formats.units import convert, parse_unit
from vesuv.types import Spacing

VOXEL = "voxel"
"""Unit of files that state no spacing."""
UNSTATED = "file unit"
"""Unit of a TIFF or Zarr file that states a spacing and no unit."""
_ITK_UNIT = "mm"
"""Unit of a spacing in NIfTI, NRRD and MetaImage where none is stated, as ITK takes it."""


def length_unit(volume: Volume) -> str:
    """Return the unit of a volume's spacing."""
    if volume.unit is not None:
        return volume.unit
    if not volume.has_header:
        return VOXEL
    return UNSTATED if volume.direction is None else _ITK_UNIT


def convert_spacing(spacing: Spacing, unit: str, target: str) -> Spacing:
    """Convert voxel edges to another unit.

    Raises:
        InputError: One of the two is no unit of length, and they differ.
    """
    if unit != target and not (parse_unit(unit) and parse_unit(target)):
        raise InputError(
            f"lengths of all cases must have one unit, found {unit} and, in the first case, "
            f"{target}; state spacing and unit in all files, or measure in voxels (as in "
            "surface_dice@1vox)"
        )
    z, y, x = (convert(edge, parse_unit(unit), parse_unit(target)) for edge in spacing)
    return z, y, x
