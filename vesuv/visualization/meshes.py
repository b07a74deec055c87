"""Meshes of surfaces: of classes, of values on them, and of instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from vesuv.report.instance_colours import instance_colours
from vesuv.report.pictures import PROBABILITY_PALETTE
from vesuv.types import Array, ClassArray


@dataclass(frozen=True)
class Part:
    """A mesh in (x, y, z), and how it is coloured."""

    mesh: Any
    style: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `pyvista.Plotter.add_mesh`."""


def class_parts(
    pyvista: Any, classes: ClassArray, colours: Mapping[str, str], spacing: Sequence[float]
) -> list[Part]:
    """Return the surface of each class that there is.

    Args:
        pyvista: The module.
        classes: Place of each voxel's class among the colours, from 1; 0: none.
        colours: Name -> colour.
        spacing: Voxel edges along z, y, x.
    """
    return [
        Part(surface_mesh(pyvista, classes == place, spacing), {"color": colour})
        for place, colour in enumerate(colours.values(), start=1)
        if (classes == place).any()
    ]


def value_part(
    pyvista: Any, classes: ClassArray, values: Array, spacing: Sequence[float], largest: float
) -> Part:
    """Return the surface of all classes with the largest value of the class's voxels beside it.

    Voxels outside are left out: there a probability is below the threshold for any class.

    Args:
        pyvista: The module.
        classes: 0: no class.
        values: Values of the voxels, same shape.
        spacing: Voxel edges along z, y, x.
        largest: Value that has the last colour.
    """
    from matplotlib.colors import ListedColormap

    mesh = surface_mesh(pyvista, classes > 0, spacing)
    inside = ndimage.maximum_filter(np.where(classes > 0, values, 0), size=3)
    coordinates = np.asarray(mesh.points)[:, ::-1] / spacing
    mesh.clear_data()
    mesh.point_data["value"] = ndimage.map_coordinates(
        inside, coordinates.T, order=1, mode="nearest"
    )
    colours = ListedColormap(PROBABILITY_PALETTE / 255)
    return Part(mesh, {"scalars": "value", "cmap": colours, "clim": (0.0, largest)})


def instance_part(
    pyvista: Any, places: ClassArray, numbers: Array, spacing: Sequence[float]
) -> Part:
    """Return the surfaces of instances in their colours.

    Args:
        pyvista: The module.
        places: Place of each voxel's instance among the numbers, from 1; 0: none.
        numbers: Numbers of the instances.
        spacing: Voxel edges along z, y, x.
    """
    mesh = surface_mesh(pyvista, places, spacing)
    faces = np.asarray(mesh.cell_data["boundary_labels"]).astype(np.int64) - 1
    mesh.clear_data()
    mesh.cell_data["colour"] = instance_colours(numbers).astype(np.uint8)[faces]
    return Part(mesh, {"scalars": "colour", "rgb": True})


def surface_mesh(pyvista: Any, labels: Array, spacing: Sequence[float]) -> Any:
    """Return the smoothed surface towards 0 by surface nets, in (x, y, z).

    Its faces have the label of their inner side, `boundary_labels`.
    """
    grid = pyvista.ImageData(dimensions=labels.shape[::-1], spacing=spacing[::-1])
    grid.point_data["labels"] = labels.astype(np.uint8).ravel()
    return grid.contour_labels(scalars="labels", smoothing=True)
