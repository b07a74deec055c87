"""Zarr v3 arrays and OME-Zarr 0.5 images; v2 and OME-Zarr 0.4 are read too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.formats.volume import (
    Array,
    FormatError,
    Spacing,
    Volume,
    check_claim,
    require_volume,
)

_CHUNK = 64
_MOST_CHUNKS = 20_000
_SMALL_CHUNK = 8**3


@dataclass(frozen=True)
class ZarrGeometry:
    """OME-Zarr axes and the finest level's transformations; None for a plain array."""

    ome: dict[str, Any] | None
    attributes: dict[str, Any]


def read(path: Path) -> Volume:
    """Read an array, or the finest level of an OME-Zarr image, whole."""
    import zarr

    node: Any = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        array = require_volume(_whole(node), "array")
        return Volume(array, (1.0, 1.0, 1.0), ZarrGeometry(None, dict(node.attrs)))
    attributes = dict(node.attrs)
    ome: Any = attributes.get("ome", attributes)
    if "multiscales" not in ome:
        raise FormatError(
            f"a Zarr group must be an OME-Zarr image, found entries {sorted(node.keys())[:5]} and "
            "no `multiscales`; give the path of an array in it"
        )
    scales = ome["multiscales"][0]
    axes = [axis["name"] if isinstance(axis, dict) else axis for axis in scales["axes"]]
    level = scales["datasets"][0]
    return _from_level(_whole(node[level["path"]]), axes, scales, level)


def _whole(node: Any) -> Array:
    """All voxels of an array, whose header may claim any number of them and of chunks."""
    check_claim(node.shape, node.dtype.itemsize)
    chunks = math.prod(-(-edge // step) for edge, step in zip(node.shape, node.chunks, strict=True))
    if chunks > _MOST_CHUNKS and math.prod(node.chunks) < _SMALL_CHUNK:
        raise FormatError(
            f"its {chunks} chunks of {tuple(node.chunks)} voxels would take hours to read; rewrite "
            "it with larger chunks"
        )
    return np.asarray(node[...])


def _from_level(array: Array, axes: list[str], scales: Any, level: Any) -> Volume:
    transforms = [*level.get("coordinateTransformations", ())]
    whole = scales.get("coordinateTransformations", ())
    edges = np.ones(len(axes))
    for transform in (*transforms, *whole):
        if transform["type"] == "scale":
            edges = edges * np.asarray(transform["scale"])
    edge_of = dict(zip(axes, edges.tolist(), strict=True))
    for place in reversed(range(len(axes))):
        if axes[place] not in ("z", "y", "x", "c") and array.shape[place] == 1:
            array, axes = array.squeeze(place), axes[:place] + axes[place + 1 :]
    if "c" in axes and array.ndim == 4 and array.shape[axes.index("c")] == 1:
        array, axes = array.squeeze(axes.index("c")), [name for name in axes if name != "c"]
    wanted = ["c", "z", "y", "x"][-len(axes) :] if len(axes) in (3, 4) else axes
    if sorted(wanted) != sorted(axes):
        raise FormatError(
            f"a volume has axes z, y, x and possibly c, found {axes} with shape "
            f"{tuple(array.shape)}; give a single 3-D volume"
        )
    array = require_volume(array.transpose([axes.index(name) for name in wanted]), "".join(axes))
    spacing: Spacing = (edge_of["z"], edge_of["y"], edge_of["x"])
    units = {axis["name"]: axis.get("unit") for axis in scales["axes"] if isinstance(axis, dict)}
    ome = {"transforms": transforms, "whole": list(whole), "names": list(edge_of), "units": units}
    return Volume(array, spacing, ZarrGeometry(ome, {}))


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write OME-Zarr 0.5 where the spacing is known or `like` was one, else a plain array."""
    import zarr

    geometry = like.geometry if like and isinstance(like.geometry, ZarrGeometry) else None
    chunks = tuple(min(_CHUNK, edge) if edge else 1 for edge in array.shape)
    chunks = (1, *chunks[1:]) if array.ndim == 4 else chunks
    plain = geometry.ome is None if geometry else like is None
    if plain:
        node = zarr.create_array(str(path), data=np.ascontiguousarray(array), chunks=chunks)
        node.attrs.update(geometry.attributes if geometry else {})
        return
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", data=np.ascontiguousarray(array), chunks=chunks)
    spacing = (1.0, 1.0, 1.0) if like is None else like.spacing
    group.attrs["ome"] = _multiscales(array.ndim, spacing, geometry)


def _multiscales(ndim: int, spacing: Spacing, geometry: ZarrGeometry | None) -> dict[str, Any]:
    """OME-Zarr 0.5 metadata of one level; scale and translation are those that were read."""
    names = ["c", "z", "y", "x"][-ndim:]
    ome = (geometry.ome if geometry else None) or {"transforms": [], "names": [], "units": {}}
    transforms = [_for_axes(one, ome["names"], names) for one in ome["transforms"]]
    scale = {"type": "scale", "scale": [*([1.0] * (ndim - 3)), *spacing]}
    level = {"path": "0", "coordinateTransformations": transforms or [scale]}
    axes = [_axis(name, ome["units"].get(name)) for name in names]
    image: dict[str, Any] = {"axes": axes, "datasets": [level]}
    whole = [_for_axes(one, ome["names"], names) for one in ome.get("whole", ())]
    return {
        "version": "0.5",
        "multiscales": [image | ({"coordinateTransformations": whole} if whole else {})],
    }


def _for_axes(transform: dict[str, Any], had: list[str], names: list[str]) -> dict[str, Any]:
    """One transformation, its entries picked and ordered for other axes."""
    kind = transform["type"]
    if kind not in ("scale", "translation"):
        return transform
    neutral = 1.0 if kind == "scale" else 0.0
    entry = dict(zip(had, transform[kind], strict=True))
    return {"type": kind, kind: [entry.get(name, neutral) for name in names]}


def _axis(name: str, unit: str | None) -> dict[str, str]:
    axis = {"name": name, "type": "channel" if name == "c" else "space"}
    return axis if unit is None else {**axis, "unit": unit}
