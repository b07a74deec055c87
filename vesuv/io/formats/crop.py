"""A box cut out of a volume, which keeps its place: the header's origin moves with the first voxel.

TIFF, NPY, PNG and plain Zarr arrays state no origin; their header stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vesuv.io.formats.itk import ItkGeometry
from vesuv.io.formats.nifti import NiftiGeometry
from vesuv.io.formats.volume import Origin, Volume
from vesuv.io.formats.zarr_ import ZarrGeometry, placement
from vesuv.types import Array, Shape


def cropped(volume: Volume, array: Array, start: Shape) -> Volume:
    """Return voxels of a box with the header of the volume that they were cut out of.

    Args:
        volume: The volume; its array is not used.
        array: Voxels of the box, (z, y, x) or (c, z, y, x).
        start: First voxel of the box.
    """
    geometry = volume.geometry
    if isinstance(geometry, NiftiGeometry):
        geometry = _cropped_nifti(geometry, start)
    elif isinstance(geometry, ItkGeometry):
        geometry = _cropped_itk(geometry, start)
    elif isinstance(geometry, ZarrGeometry) and geometry.ome is not None:
        ome = _cropped_ome(geometry.ome, start)
        _, origin, _ = placement(ome["names"], ome)
        return replace(volume, array=array, geometry=replace(geometry, ome=ome), origin=origin)
    return replace(volume, array=array, geometry=geometry, origin=_moved_origin(volume, start))


def _moved_origin(volume: Volume, start: Shape) -> Origin | None:
    if volume.origin is None:
        return None
    axes = np.eye(3) if volume.direction is None else np.reshape(volume.direction, (3, 3))
    z, y, x = (np.asarray(volume.origin) + (np.multiply(start, volume.spacing) @ axes)).tolist()
    return z, y, x


def _cropped_nifti(geometry: NiftiGeometry, start: Shape) -> NiftiGeometry:
    """Move the translations of the matrices that the header states, sform and qform."""
    header, place = geometry.header.copy(), np.array(start[::-1], float)
    matrix, code = geometry.header.get_sform(coded=True)
    if code:
        for name, row in zip(("srow_x", "srow_y", "srow_z"), _moved(matrix, place), strict=True):
            header[name] = row
    matrix, code = geometry.header.get_qform(coded=True)
    if code:
        for axis, row in zip("xyz", _moved(matrix, place), strict=True):
            header[f"qoffset_{axis}"] = row[3]
    affine = np.vstack([_moved(geometry.affine, place), geometry.affine[3:]])
    return NiftiGeometry(affine, header)


def _moved(matrix: Array, place: Array) -> Array:
    """Return the upper rows of an affine matrix whose first voxel is that at a place (x, y, z)."""
    rows: Array = np.array(matrix[:3], float)
    rows[:, 3] += rows[:, :3] @ place
    return rows


def _cropped_itk(geometry: ItkGeometry, start: Shape) -> ItkGeometry:
    num_axes = len(geometry.spacing)  # two for one slice
    axes = np.reshape(geometry.direction, (num_axes, num_axes))
    offset = axes @ np.multiply(start[: -num_axes - 1 : -1], geometry.spacing)
    return replace(geometry, origin=tuple((np.asarray(geometry.origin) + offset).tolist()))


def _cropped_ome(ome: dict[str, Any], start: Shape) -> dict[str, Any]:
    """Add a translation to the level's transformations, or lengthen the one that stands last."""
    names, transforms = ome["names"], list(ome["transforms"])
    scale = np.ones(len(names))
    for transform in transforms:
        if transform["type"] == "scale":
            scale = scale * transform["scale"]
    voxels = dict(zip("zyx", start, strict=True))
    offset = scale * [voxels.get(name, 0) for name in names]
    if not transforms:
        transforms.append({"type": "scale", "scale": scale.tolist()})
    if transforms[-1]["type"] == "translation":
        offset = offset + transforms.pop()["translation"]
    transforms.append({"type": "translation", "translation": offset.tolist()})
    return {**ome, "transforms": transforms}
