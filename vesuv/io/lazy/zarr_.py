"""Zarr arrays and OME-Zarr images of version 0.4 and 0.5, on disk or on a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.formats.volume import (
    NO_SPACING,
    FormatError,
    Volume,
    refuse_time_points,
    require_volume,
)
from vesuv.io.formats.zarr_ import (
    AXES,
    ZarrGeometry,
    array_axes,
    array_geometry,
    level_geometry,
    multiscale_of,
    placement,
    without_fill_nan,
)
from vesuv.io.lazy.volume import LazyVolume, empty_array
from vesuv.io.urls import is_url
from vesuv.types import Array, Region


def open_zarr_volume(path: str | Path, level: int, *, anonymous: bool) -> LazyVolume:
    """Open an array, or a level of an OME-Zarr image.

    Args:
        path: Folder, or address of http, https or s3.
        level: Level of an image; 0 is the finest.
        anonymous: Read from s3 without credentials.

    Raises:
        FormatError: It is no volume, or has no such level.
    """
    import zarr

    node = _open_node(path, anonymous=anonymous)
    if not isinstance(node, zarr.Array):
        return _open_level(node, multiscale_of(node), level)
    if level != 0:
        raise FormatError(f"--level: a plain array has level 0 alone, found {level}; leave it")
    names = array_axes(node)
    voxels = _voxels(node, names)
    header = Volume(_header_array(voxels), NO_SPACING, array_geometry(node, names))
    return LazyVolume(voxels, header)


def count_zarr_levels(path: str | Path, *, anonymous: bool) -> int:
    """Return the number of levels of an OME-Zarr image; 1 for an array."""
    import zarr

    node = _open_node(path, anonymous=anonymous)
    return 1 if isinstance(node, zarr.Array) else len(multiscale_of(node)["datasets"])


def zarr_attributes(path: str | Path, *, anonymous: bool) -> dict[str, Any]:
    """Return the attributes of an image or array."""
    return dict(_open_node(path, anonymous=anonymous).attrs)


def _open_node(path: str | Path, *, anonymous: bool) -> Any:
    from vesuv.io.formats.zarr_store import open_zarr
    from vesuv.io.lazy.remote import open_remote_zarr

    if is_url(path):
        return open_remote_zarr(str(path), anonymous=anonymous)
    return open_zarr(Path(path))


def _open_level(group: Any, image: dict[str, Any], level: int) -> LazyVolume:
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image["axes"]]
    datasets = image["datasets"]
    if not 0 <= level < len(datasets):
        raise FormatError(
            f"--level: the image has levels 0 to {len(datasets) - 1}, found {level}; name one"
        )
    array = group[datasets[level]["path"]]
    names = [axis["name"] for axis in axes]
    for axis, length in zip(axes, array.shape, strict=True):
        if axis.get("type", "time" if axis["name"] == "t" else None) == "time":
            refuse_time_points(length)
    voxels = _voxels(array, names)
    geometry = level_geometry(image, axes, level)
    spacing, origin, unit = placement(names, geometry)
    place = ZarrGeometry(geometry, {}, is_slice="z" not in names)
    header = Volume(_header_array(voxels), spacing, place, origin=origin, unit=unit)
    return LazyVolume(voxels, header)


@dataclass(frozen=True)
class ZarrVoxels:
    """Regions of a Zarr array, whose axes may have any order.

    Where chunks that were never written are NaN, NaN is read as 0: there are no data.

    Args:
        node: The array.
        names: Names of its axes: y, x, possibly z and c, and others of length 1.
    """

    node: Any
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        lengths = dict(zip(self.names, self.node.shape, strict=True))
        return lengths.get("c", 1), lengths.get("z", 1), lengths["y"], lengths["x"]

    @property
    def dtype(self) -> np.dtype[Any]:
        stored: np.dtype[Any] = self.node.dtype
        return stored.newbyteorder("=")

    def read(self, region: Region) -> Array:
        by_name: dict[str, slice | int] = dict(zip("zyx", region, strict=True))
        by_name["c"] = slice(None)
        part = np.asarray(self.node[tuple(by_name.get(name, 0) for name in self.names)])
        part = without_fill_nan(part, self.node)
        names = [name for name in self.names if name in by_name]
        if "z" not in names:
            part, names = part[np.newaxis][region[0]], ["z", *names]
        if "c" not in names:
            part, names = part[np.newaxis], ["c", *names]
        ordered = part.transpose([names.index(name) for name in AXES])
        return np.ascontiguousarray(ordered, ordered.dtype.newbyteorder("="))


def _voxels(node: Any, names: list[str]) -> ZarrVoxels:
    lengths = dict(zip(names, node.shape, strict=len(names) > 0))
    others = [name for name in names if name not in AXES and lengths[name] != 1]
    if not {"y", "x"} <= set(names) or others or len(set(names)) != len(names):
        raise FormatError(
            f"a volume has axes z, y, x and possibly c, found {names} with shape "
            f"{tuple(node.shape)}; give a single 3-D volume"
        )
    return ZarrVoxels(node, tuple(names))


def _header_array(voxels: ZarrVoxels) -> Array:
    shape = voxels.shape if voxels.shape[0] > 1 else voxels.shape[1:]
    return require_volume(empty_array(shape, voxels.dtype), "czyx")
