"""Volumes that are looked at together, on one grid, of which only requested regions are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import UndeclaredValueError, encode, whole_numbers
from vesuv.errors import InputError
from vesuv.io.formats import Volume, check_lossless
from vesuv.io.formats.volume import NO_SPACING, FormatError, check_memory
from vesuv.io.grid import check_same_grid
from vesuv.io.lazy import LazyVolume, attributes, count_levels, open_lazy
from vesuv.io.lazy.volume import ArrayVoxels, read_region
from vesuv.types import Array, Region, Shape, Spacing

CLASS_LAYERS, VALUE_LAYERS = ("label", "mask"), ("probability", "uncertainty")
INSTANCES = "instances"
LAYERS = ("image", *CLASS_LAYERS, INSTANCES, *VALUE_LAYERS)
"""Volumes of a scene, in the order in which they are shown."""


@dataclass(frozen=True)
class Scale:
    """How stored numbers become probabilities, or uncertainties in bits."""

    slope: float = 1.0
    intercept: float = 0.0
    largest: float = np.inf

    def apply(self, values: Array) -> Array:
        """Return float32; NaN becomes 0."""
        scaled = values.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)
        limited: Array = np.minimum(np.nan_to_num(scaled), np.float32(self.largest))
        return limited


@dataclass(frozen=True)
class Scene:
    """Volumes of one shape.

    Args:
        volumes: Layer, one of `LAYERS` -> volume; at least one.
        labels: Classes of label and mask; None: 0 is background, each other value a class.
        names: Layer -> its path, for messages.
        full_shape: Shape of the finest level, whose slices are counted.
        level: Level of the pyramid that the volumes are.
        scales: Layer of probability or uncertainty -> how its numbers are read.
    """

    volumes: Mapping[str, LazyVolume]
    labels: LabelsConfig | None
    names: Mapping[str, str]
    full_shape: Shape
    level: int = 0
    scales: Mapping[str, Scale] = field(default_factory=dict)

    @property
    def shape(self) -> Shape:
        """Shape of the level that is read."""
        return next(iter(self.volumes.values())).shape

    @property
    def spacing(self) -> Spacing:
        """Voxel edges of the first volume that states them."""
        return self._header.spacing

    @property
    def unit(self) -> str | None:
        return self._header.unit

    @property
    def whole(self) -> Region:
        z, y, x = (slice(0, edge) for edge in self.shape)
        return z, y, x

    @property
    def has_colours(self) -> bool:
        """Whether the image is red, green and blue."""
        voxels = self.volumes["image"].voxels if "image" in self.volumes else None
        return voxels is not None and voxels.shape[0] == 3 and voxels.dtype == np.uint8

    @property
    def _header(self) -> Volume:
        headers = [volume.header for volume in self.volumes.values()]
        return next((header for header in headers if header.spacing != NO_SPACING), headers[0])

    def image(self, region: Region) -> Array:
        """Return the first channel (z, y, x), or all three (z, y, x, 3) where they are colours."""
        voxels = self._read("image", region)
        return np.moveaxis(voxels, 0, -1) if self.has_colours else voxels[0]

    def classes(self, layer: str, region: Region) -> Array:
        """Return class indices with 255 where ignored, or label values where no class is declared.

        Raises:
            InputError: A value is not declared, or no whole number.
        """
        voxels = self._read(layer, region)[0]
        try:
            if self.labels is not None:
                return encode(voxels, self.labels)
            return whole_numbers(voxels)
        except UndeclaredValueError as fault:
            advice = f"numbers of instances are drawn with --{INSTANCES}"
            raise InputError(f"{self.names[layer]}: {fault}; {advice}") from None
        except InputError as fault:
            raise InputError(f"{self.names[layer]}: {fault}") from None

    def instances(self, region: Region) -> Array:
        """Return the number of the instance of each voxel, 0 where there is none.

        Raises:
            InputError: A value is negative, or no whole number.
        """
        voxels, name = self._read(INSTANCES, region)[0], self.names[INSTANCES]
        try:
            numbers = whole_numbers(voxels)
        except InputError as fault:
            raise InputError(f"{name}: {fault}") from None
        if numbers.size and (lowest := int(numbers.min())) < 0:
            raise InputError(f"{name}: numbers of instances start at 0, found {lowest}; correct it")
        return numbers

    def values(self, layer: str, region: Region) -> Array:
        """Return the probability of any foreground class, or the uncertainty, float32."""
        voxels = self.scales.get(layer, Scale()).apply(self._read(layer, region))
        has_background = self.labels is None or self.labels.regions is None
        foreground: Array = voxels[0]
        if layer == "probability" and len(voxels) > 1:
            foreground = 1 - voxels[0] if has_background else voxels.max(axis=0)
        return foreground

    def _read(self, layer: str, region: Region) -> Array:
        voxels = self.volumes[layer].voxels
        edges = [part.stop - part.start for part in region]
        num_bytes = int(np.prod(edges, dtype=float)) * voxels.shape[0] * voxels.dtype.itemsize
        try:
            check_memory(f"{edges} voxels", num_bytes)
        except FormatError as fault:
            raise InputError(f"{self.names[layer]}: {fault}") from None
        return read_region(voxels, region, self.names[layer])


def open_scene(
    paths: Mapping[str, str | Path],
    labels: LabelsConfig | None = None,
    *,
    level: int | None = None,
    largest_edge: int = 1024,
    anonymous: bool = False,
) -> Scene:
    """Open volumes that are looked at together.

    Args:
        paths: Layer, one of `LAYERS` -> file, Zarr folder or address; at least one.
        labels: Classes of label and mask; None: 0 is background, each other value a class.
        level: Level of OME-Zarr images, 0 is the finest; None: the finest whose edges are at most
            `largest_edge`, or the coarsest that all have.
        largest_edge: See `level`.
        anonymous: Read from s3 without credentials.

    Raises:
        InputError: A volume cannot be read, or two have different grids.
    """
    if not paths:
        raise InputError(f"a view needs a volume; give one of --{', --'.join(LAYERS)}")
    roles = {**{layer: layer for layer in CLASS_LAYERS}, INSTANCES: "volume of instances"}
    for layer, role in roles.items():
        if layer in paths:
            check_lossless(Path(paths[layer]), role)
    open_level = partial(open_lazy, anonymous=anonymous)
    volumes = {layer: open_level(paths[layer]) for layer in LAYERS if layer in paths}
    _check_grids(paths, volumes)
    full_shape = next(iter(volumes.values())).shape
    if level is None:
        level = _fitting_level(paths, volumes, largest_edge, anonymous=anonymous)
    if level != 0:
        volumes = {layer: open_level(paths[layer], level=level) for layer in volumes}
        _check_grids(paths, volumes)
    scales = {
        layer: _scale_of(layer, volumes[layer], attributes(paths[layer], anonymous=anonymous))
        for layer in VALUE_LAYERS
        if layer in volumes
    }
    names = {layer: str(path) for layer, path in paths.items()}
    return Scene(volumes, labels, names, full_shape, level, scales)


def open_levels(
    paths: Mapping[str, str | Path], labels: LabelsConfig | None = None, *, anonymous: bool = False
) -> list[Scene]:
    """Open the levels that all volumes have, the finest first; arguments are those of `open_scene`.

    Only levels of half the edges of the one before are opened.

    Raises:
        InputError: A volume cannot be read, or two have different grids.
    """
    scenes = [open_scene(paths, labels, level=0, anonymous=anonymous)]
    num_levels = min(count_levels(path, anonymous=anonymous) for path in paths.values())
    for level in range(1, num_levels):
        scene = open_scene(paths, labels, level=level, anonymous=anonymous)
        if scene.shape != tuple(-(-edge // 2) for edge in scenes[-1].shape):
            break
        scenes.append(scene)
    return scenes


def scene_of(
    arrays: Mapping[str, Array],
    spacing: Spacing = NO_SPACING,
    labels: LabelsConfig | None = None,
) -> Scene:
    """Return arrays as a scene.

    Args:
        arrays: Layer, one of `LAYERS` -> array (z, y, x) or (c, z, y, x); at least one.
        spacing: Voxel edges along z, y, x.
        labels: Classes of label and mask; None: 0 is background, each other value a class.

    Raises:
        InputError: A layer has another name, or arrays have different shapes.
    """
    unknown = [layer for layer in arrays if layer not in LAYERS]
    if unknown or not arrays:
        raise InputError(f"layers are some of {', '.join(LAYERS)}, found {', '.join(arrays)!r}")
    headers = {layer: Volume(np.asarray(array), spacing, None) for layer, array in arrays.items()}
    volumes = {
        layer: LazyVolume(ArrayVoxels(headers[layer].channels), headers[layer])
        for layer in LAYERS
        if layer in headers
    }
    _check_grids({layer: layer for layer in arrays}, volumes)
    scales = {layer: _scale_of(layer, volumes[layer], {}) for layer in VALUE_LAYERS
              if layer in volumes}  # fmt: skip
    names = {layer: layer for layer in volumes}
    return Scene(volumes, labels, names, next(iter(volumes.values())).shape, 0, scales)


def _check_grids(paths: Mapping[str, str | Path], volumes: Mapping[str, LazyVolume]) -> None:
    (first, reference), *others = volumes.items()
    for layer, volume in others:
        check_same_grid(
            (paths[layer], volume.header),
            (paths[first], reference.header),
            (layer, first),
        )


def _fitting_level(
    paths: Mapping[str, str | Path],
    volumes: Mapping[str, LazyVolume],
    largest_edge: int,
    *,
    anonymous: bool,
) -> int:
    """Return the finest common level whose edges are small enough, or the coarsest."""
    (first, volume), *_ = volumes.items()
    if max(volume.shape) <= largest_edge:
        return 0
    num_levels = min(count_levels(paths[layer], anonymous=anonymous) for layer in volumes)
    for level in range(1, num_levels):
        coarse = open_lazy(paths[first], level=level, anonymous=anonymous)
        if max(coarse.shape) <= largest_edge:
            return level
    return num_levels - 1


def _scale_of(layer: str, volume: LazyVolume, content: Mapping[str, Any]) -> Scale:
    """Return the scale that an image of `predict` states; else that of the number type."""
    if volume.voxels.dtype.kind == "f":
        return Scale()
    stated = content.get("vesuv", {})
    if layer == "uncertainty":
        return Scale(stated["largest"] / 255) if "largest" in stated else Scale()
    if "levels" in stated:
        return Scale(1 / stated["levels"], 0.5 / stated["levels"], 1.0)
    if volume.voxels.dtype.kind == "b":
        return Scale()
    return Scale(1 / np.iinfo(volume.voxels.dtype).max)
