"""Zarr v3 arrays and OME-Zarr 0.5 images; Zarr v2 and OME-Zarr 0.4 can be read.

An image without an axis z is one slice, and so are its masks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.formats.units import are_comparable, common_unit, convert, parse_unit, unit_name
from vesuv.io.formats.volume import (
    IMAGE_2D_NDIM,
    NO_SPACING,
    FormatError,
    Origin,
    Volume,
    check_claimed_size,
    refuse_time_points,
    require_volume,
    without_slice_axis,
)
from vesuv.types import Array, Spacing

AXES = "czyx"
"""Names of the axes of volumes, in their order."""
_XARRAY_AXES = "_ARRAY_DIMENSIONS"
"""Attribute in which xarray names the axes of an array of Zarr v2."""
CHUNK_EDGE = 64
"""Edge of the chunks of an array that is written."""
_KINDS = {"identity", "scale", "translation"}
"""Transformations of OME-Zarr 0.4 and 0.5."""
_MAX_CHUNKS = 20_000
_MIN_CHUNK_VOXELS = 8**3


@dataclass(frozen=True)
class ZarrGeometry:
    """OME-Zarr axes and the finest level's transformations; None for a plain array."""

    ome: dict[str, Any] | None
    attributes: dict[str, Any]
    is_slice: bool = False
    """Whether the image has no axis z, so that masks have none."""


def read(path: Path) -> Volume:
    """Read an array, or the finest level of an OME-Zarr image."""
    import zarr

    from vesuv.io.formats.zarr_store import open_zarr

    node: Any = open_zarr(path)
    if isinstance(node, zarr.Array):
        names = array_axes(node)
        array = _reorder(_read_whole(node), names)
        return Volume(array, NO_SPACING, array_geometry(node, names))
    image = multiscale_of(node)
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image["axes"]]
    level = node[image["datasets"][0]["path"]]
    names = [axis["name"] for axis in axes]
    for axis, length in zip(axes, level.shape, strict=True):
        if axis.get("type", "time" if axis["name"] == "t" else None) == "time":
            refuse_time_points(length)
    array = _reorder(_read_whole(level), names)
    geometry = level_geometry(image, axes)
    spacing, origin, unit = placement(names, geometry)
    place = ZarrGeometry(geometry, {}, is_slice="z" not in names)
    return Volume(array, spacing, place, origin=origin, unit=unit)


def array_axes(node: Any) -> list[str]:
    """Return the names of a plain array's axes: y, x with z, c or both in front.

    Raises:
        FormatError: It has another number of axes, or names them in another order.
    """
    if not IMAGE_2D_NDIM <= node.ndim <= len(AXES):
        raise FormatError(
            f"a volume has 3 dimensions (and channels in front), found {node.ndim} (array "
            f"{tuple(node.shape)}); give a 3-D volume"
        )
    stated = getattr(node.metadata, "dimension_names", None) or node.attrs.get(_XARRAY_AXES, ())
    names = [str(name).lower() for name in stated]
    if len(names) != node.ndim or not {"y", "x"} <= set(names) <= set(AXES):
        return list(AXES[-node.ndim :])
    if names != [name for name in AXES if name in names]:
        raise FormatError(
            f"the axes of a plain array are in the order c, z, y, x, found {', '.join(names)}; "
            "transpose it, or save it as OME-Zarr, whose axes may have any order"
        )
    return names


def array_geometry(node: Any, names: list[str]) -> ZarrGeometry:
    """Return the attributes of a plain array and whether it is one slice."""
    return ZarrGeometry(None, dict(node.attrs), is_slice="z" not in names)


def multiscale_of(group: Any) -> dict[str, Any]:
    """Return the first multiscale image of a group's attributes.

    Raises:
        FormatError: The group is no OME-Zarr image.
    """
    attributes = dict(group.attrs)
    ome: Any = attributes.get("ome", attributes)
    if "multiscales" not in ome:
        raise FormatError(
            f"a Zarr group must be an OME-Zarr image, found entries {sorted(group.keys())[:5]} and "
            "no `multiscales`; give the path of an array in it"
        )
    image: dict[str, Any] = ome["multiscales"][0]
    return image


def _read_whole(node: Any) -> Array:
    """All voxels of an array; too many voxels or chunks are refused."""
    check_claimed_size(node.shape, node.dtype.itemsize)
    chunks = math.prod(-(-edge // step) for edge, step in zip(node.shape, node.chunks, strict=True))
    if chunks > _MAX_CHUNKS and math.prod(node.chunks) < _MIN_CHUNK_VOXELS:
        raise FormatError(
            f"its {chunks} chunks of {tuple(node.chunks)} voxels would take hours to read; rewrite "
            "it with larger chunks"
        )
    return without_fill_nan(np.asarray(node[...]), node)


def without_fill_nan(voxels: Array, node: Any) -> Array:
    """Return voxels of an array with 0 for NaN where chunks that were never written are NaN."""
    fill = node.fill_value  # None in version 2 without one
    if voxels.dtype.kind != "f" or fill is None or not np.isnan(fill):
        return voxels
    return np.where(np.isnan(voxels), voxels.dtype.type(0), voxels)


def _reorder(array: Array, axes: list[str]) -> Array:
    """The array with axes (z, y, x) or (c, z, y, x); without an axis z it is one slice."""
    for place in reversed(range(len(axes))):
        if axes[place] not in ("z", "y", "x", "c") and array.shape[place] == 1:
            array, axes = array.squeeze(place), axes[:place] + axes[place + 1 :]
    if "z" not in axes and {"y", "x"} <= set(axes):
        array, axes = array[np.newaxis], ["z", *axes]
    if "c" in axes and array.ndim == 4 and array.shape[axes.index("c")] == 1:
        array, axes = array.squeeze(axes.index("c")), [name for name in axes if name != "c"]
    order = ["c", "z", "y", "x"][-len(axes) :] if len(axes) in (3, 4) else axes
    if sorted(order) != sorted(axes):
        raise FormatError(
            f"a volume has axes z, y, x and possibly c, found {axes} with shape "
            f"{tuple(array.shape)}; give a single 3-D volume"
        )
    return require_volume(array.transpose([axes.index(name) for name in order]), "".join(axes))


def level_geometry(
    image: dict[str, Any], axes: list[dict[str, Any]], level: int = 0
) -> dict[str, Any]:
    """Return the transformations of a level and of the image, and the units of the axes."""
    return {
        "transforms": [*image["datasets"][level].get("coordinateTransformations", ())],
        "whole": [*image.get("coordinateTransformations", ())],
        "names": [axis["name"] for axis in axes],
        "units": {axis["name"]: axis.get("unit") for axis in axes},
    }


def placement(
    axes: list[str], geometry: dict[str, Any]
) -> tuple[Spacing, Origin | None, str | None]:
    """Return spacing, origin (None without a translation) and unit of the axes z, y, x.

    An axis in an unknown unit beside axes in known ones leaves all three unknown, and so do
    transformations without a scale or of another kind, as of OME-Zarr 0.6.
    """
    kinds = {transform["type"] for transform in (*geometry["transforms"], *geometry["whole"])}
    edges, offset, has_translation = np.ones(len(axes)), np.zeros(len(axes)), False
    for transform in (*geometry["transforms"], *geometry["whole"]):
        if transform["type"] == "scale":
            edges, offset = edges * transform["scale"], offset * transform["scale"]
        elif transform["type"] == "translation":
            offset, has_translation = offset + transform["translation"], True
    units = {name: parse_unit(geometry["units"][name]) for name in "zyx" if name in axes}
    if not (are_comparable(units.values()) and {"scale"} <= kinds <= _KINDS):
        return NO_SPACING, None, None
    unit = common_unit(units.values())
    spacing, origin = {"z": NO_SPACING[0]}, {"z": 0.0}  # of one slice
    for lengths, values in ((spacing, edges), (origin, offset)):
        for name, axis_unit in units.items():
            lengths[name] = convert(float(values[axes.index(name)]), axis_unit, unit)
    z, y, x = (spacing[name] for name in "zyx")
    oz, oy, ox = (origin[name] for name in "zyx")
    return (z, y, x), (oz, oy, ox) if has_translation else None, unit


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write a plain array without `like` or if `like` is one; else OME-Zarr 0.5."""
    geometry = _geometry_of(like)
    array = without_slice_axis(array) if geometry and geometry.is_slice else array
    create(path, array.shape, array.dtype, like)[...] = array


def create(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], like: Volume | None) -> Any:
    """Return the new array of a volume, whose voxels are not yet written; see `write`."""
    import zarr

    geometry, ndim = _geometry_of(like), len(shape)
    chunks = tuple(min(CHUNK_EDGE, edge) if edge else 1 for edge in shape)
    options: Any = {"shape": shape, "dtype": dtype, "chunks": (1,) * (ndim == 4) + chunks[-3:]}
    is_plain_array = geometry.ome is None if geometry else like is None
    if is_plain_array:
        attributes = dict(geometry.attributes) if geometry else {}
        if len(attributes.get(_XARRAY_AXES, ())) != ndim:  # a mask of several channels
            attributes.pop(_XARRAY_AXES, None)
        return zarr.create_array(str(path), attributes=attributes, **options)
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    ome = geometry.ome if geometry else None
    group.attrs["ome"] = multiscales(ndim, ome or geometry_like(like))
    return group.create_array("0", dimension_names=axes_of(ndim), **options)


def _geometry_of(like: Volume | None) -> ZarrGeometry | None:
    return like.geometry if like and isinstance(like.geometry, ZarrGeometry) else None


def axes_of(ndim: int) -> list[str]:
    """Return the axes of an array of 2 to 4 axes: y, x, in front of them z, and c before that."""
    return list(AXES[-ndim:])


def geometry_like(like: Volume | None) -> dict[str, Any]:
    """Return transformations and units for a volume of another format."""
    names = ["z", "y", "x"]
    scale = {"type": "scale", "scale": list(NO_SPACING if like is None else like.spacing)}
    unit = unit_name(like.unit) if like and like.unit else None
    return {"transforms": [scale], "whole": [], "names": names, "units": dict.fromkeys(names, unit)}


def multiscales(ndim: int, ome: dict[str, Any], num_levels: int = 1) -> dict[str, Any]:
    """Return OME-Zarr 0.5 metadata with the transformations and units of `ome`.

    Args:
        ndim: 2 for (y, x), 3 for (z, y, x), 4 for (c, z, y, x).
        ome: Geometry of the finest level.
        num_levels: Levels "0", "1", ..., each half as fine as the one before; a voxel covers those
            that it stands for.
    """
    names = axes_of(ndim)
    transforms = [_for_axes(transform, ome["names"], names) for transform in ome["transforms"]]
    transforms = transforms or [{"type": "scale", "scale": [1.0] * ndim}]
    axes = [_axis(name, ome["units"].get(name)) for name in names]
    datasets = [
        {"path": str(level), "coordinateTransformations": _coarser(transforms, names, 2**level)}
        for level in range(num_levels)
    ]
    image: dict[str, Any] = {"axes": axes, "datasets": datasets}
    whole = [_for_axes(transform, ome["names"], names) for transform in ome["whole"]]
    return {
        "version": "0.5",
        "multiscales": [image | ({"coordinateTransformations": whole} if whole else {})],
    }


def _coarser(
    transforms: list[dict[str, Any]], names: list[str], factor: int
) -> list[dict[str, Any]]:
    """The transformations of a level with voxels `factor` times as long."""
    if factor == 1:
        return transforms
    edges, offset = np.ones(len(names)), np.zeros(len(names))
    for transform in transforms:
        if transform["type"] == "scale":
            edges, offset = edges * transform["scale"], offset * transform["scale"]
        elif transform["type"] == "translation":
            offset = offset + transform["translation"]
    is_spatial = np.array([name != "c" for name in names])
    centre = np.where(is_spatial, offset + edges * (factor - 1) / 2, offset)
    scale = np.where(is_spatial, edges * factor, edges)
    return [
        {"type": "scale", "scale": scale.tolist()},
        {"type": "translation", "translation": centre.tolist()},
    ]


def _for_axes(transform: dict[str, Any], axes: list[str], names: list[str]) -> dict[str, Any]:
    """A transformation of `axes` as a transformation of the axes `names`."""
    kind = transform["type"]
    if kind not in ("scale", "translation"):
        return transform
    neutral = 1.0 if kind == "scale" else 0.0
    entry = dict(zip(axes, transform[kind], strict=True))
    return {"type": kind, kind: [entry.get(name, neutral) for name in names]}


def _axis(name: str, unit: str | None) -> dict[str, str]:
    axis = {"name": name, "type": "channel" if name == "c" else "space"}
    return axis if unit is None else {**axis, "unit": unit}
