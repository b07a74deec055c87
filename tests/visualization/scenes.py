"""Small scenes whose pictures can be told by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vesuv.config.labels import LabelsConfig
from vesuv.io.formats import Volume
from vesuv.io.lazy import LazyVolume
from vesuv.io.lazy.volume import ArrayVoxels
from vesuv.types import Array, Region
from vesuv.visualization.scene import Scene, scene_of

SHEET = LabelsConfig(classes={"background": 0, "sheet": 1}, ignore=2)


def ball(edge: int = 16, radius: float = 5.0) -> Array:
    """Return a ball of ones in the middle of a cube of zeros."""
    z, y, x = np.indices((edge, edge, edge)) - (edge - 1) / 2
    return (z**2 + y**2 + x**2 <= radius**2).astype(np.uint8)


def row_scene(**rows: list[float]) -> Scene:
    """Return a scene whose volumes are one row of voxels each."""
    arrays = {layer: np.array([[row]]) for layer, row in rows.items()}
    typed = {k: v.astype(np.float32) if k in ("image", "probability", "uncertainty") else v
             for k, v in arrays.items()}  # fmt: skip
    return scene_of(typed, labels=SHEET)


@dataclass
class RecordingVoxels:
    """Voxels that count what is read of them."""

    voxels: ArrayVoxels
    regions: list[Region] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.voxels.shape

    @property
    def dtype(self) -> np.dtype:
        return self.voxels.dtype

    def read(self, region: Region) -> Array:
        self.regions.append(region)
        return self.voxels.read(region)


def recorded(arrays: Mapping[str, Array]) -> tuple[Scene, dict[str, RecordingVoxels]]:
    """Return a scene, and for each layer what is read of it."""
    voxels = {k: RecordingVoxels(ArrayVoxels(array[np.newaxis])) for k, array in arrays.items()}
    volumes = {
        k: LazyVolume(voxels[k], Volume(array, (1.0, 1.0, 1.0), None))
        for k, array in arrays.items()
    }
    shape = next(iter(arrays.values())).shape
    return Scene(volumes, SHEET, {k: k for k in arrays}, shape), voxels
