"""Zarr v3 arrays and OME-Zarr 0.5 images; Zarr v2 and OME-Zarr 0.4 can be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.formats.units import common_unit, convert, parse_unit, unit_name
from vesuv.io.formats.volume import (
    NO_SPACING,
    FormatError,
    Origin,
    Volume,
    check_claimed_size,
    refuse_time_points,
    require_volume,
)
from vesuv.types import Array, Spacing

_CHUNK_EDGE = 64
_MAX_CHUNKS = 20_000
_MIN_CHUNK_VOXELS = 8**3


@dataclass(frozen=True)
class ZarrGeometry:
    """OME-Zarr axes and the finest level's transformations; None for a plain array."""

    ome: dict[str, Any] | None
    attributes: dict[str, Any]


def read(path: Path) -> Volume:
    """Read an array, or the finest level of an OME-Zarr image."""
    import zarr

    from vesuv.io.formats.zarr_store import open_zarr

    node: Any = open_zarr(path)
    if isinstance(node, zarr.Array):
        array = require_volume(_read_whole(node), "array")
        return Volume(array, NO_SPACING, ZarrGeometry(None, dict(node.attrs)))
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
    return Volume(array, spacing, ZarrGeometry(geometry, {}), origin=origin, unit=unit)


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
    return np.asarray(node[...])


def _reorder(array: Array, axes: list[str]) -> Array:
    """The array with axes (z, y, x) or (c, z, y, x)."""
    for place in reversed(range(len(axes))):
        if axes[place] not in ("z", "y", "x", "c") and array.shape[place] == 1:
            array, axes = array.squeeze(place), axes[:place] + axes[place + 1 :]
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
    """Return spacing, origin (None without a translation) and unit of the axes z, y, x."""
    edges, offset, has_translation = np.ones(len(axes)), np.zeros(len(axes)), False
    for transform in (*geometry["transforms"], *geometry["whole"]):
        if transform["type"] == "scale":
            edges, offset = edges * transform["scale"], offset * transform["scale"]
        elif transform["type"] == "translation":
            offset, has_translation = offset + transform["translation"], True
    units = {name: parse_unit(geometry["units"][name]) for name in ("z", "y", "x")}
    unit = common_unit(units.values())
    spatial = [(axes.index(name), axis_unit) for name, axis_unit in units.items()]
    z, y, x = (convert(float(edges[axis]), axis_unit, unit) for axis, axis_unit in spatial)
    oz, oy, ox = (convert(float(offset[axis]), axis_unit, unit) for axis, axis_unit in spatial)
    return (z, y, x), (oz, oy, ox) if has_translation else None, unit


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write a plain array without `like` or if `like` is one; else OME-Zarr 0.5."""
    import zarr

    geometry = like.geometry if like and isinstance(like.geometry, ZarrGeometry) else None
    chunks = tuple(min(_CHUNK_EDGE, edge) if edge else 1 for edge in array.shape)
    chunks = (1, *chunks[1:]) if array.ndim == 4 else chunks
    is_plain_array = geometry.ome is None if geometry else like is None
    if is_plain_array:
        node = zarr.create_array(str(path), data=np.ascontiguousarray(array), chunks=chunks)
        node.attrs.update(geometry.attributes if geometry else {})
        return
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", data=np.ascontiguousarray(array), chunks=chunks)
    ome = geometry.ome if geometry else None
    group.attrs["ome"] = multiscales(array.ndim, ome or geometry_like(like))


def geometry_like(like: Volume | None) -> dict[str, Any]:
    """Return transformations and units for a volume of another format."""
    names = ["z", "y", "x"]
    scale = {"type": "scale", "scale": list(NO_SPACING if like is None else like.spacing)}
    unit = unit_name(like.unit) if like and like.unit else None
    return {"transforms": [scale], "whole": [], "names": names, "units": dict.fromkeys(names, unit)}


def multiscales(ndim: int, ome: dict[str, Any], num_levels: int = 1) -> dict[str, Any]:
    """Return OME-Zarr 0.5 metadata with the transformations and units of `ome`.

    Args:
        ndim: 3 for (z, y, x), 4 for (c, z, y, x).
        ome: Geometry of the finest level.
        num_levels: Levels "0", "1", ..., each half as fine as the one before; a voxel covers those
            that it stands for.
    """
    names = ["c", "z", "y", "x"][-ndim:]
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
