"""Views of meshes that turn around the axis z, drawn without a screen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vesuv.types import Array
from vesuv.visualization.meshes import Part

_ELEVATION, _START = 25.0, 35.0
"""Degrees above the slices, and of the first view around the axis z."""
_VIEW_ANGLE = 15.0
"""Degrees that a picture covers."""
_SHADING = {"smooth_shading": True, "ambient": 0.25, "show_scalar_bar": False}


def turning_views(
    pyvista: Any,
    parts: Sequence[Part],
    box: Sequence[float],
    size: int,
    num_frames: int,
) -> Iterator[Image.Image]:
    """Yield views of surfaces in a box of this size (z, y, x), which turns once around z."""
    plotter = pyvista.Plotter(off_screen=True, window_size=(2 * size, 2 * size))
    try:
        plotter.set_background("white")
        for part in parts:
            plotter.add_mesh(part.mesh, **part.style, **_SHADING)
        extent = [limit for edge in box[::-1] for limit in (0.0, edge)]
        plotter.add_mesh(pyvista.Box(bounds=extent).outline(), color="#9aa0a8", line_width=2)
        plotter.camera.view_angle = _VIEW_ANGLE
        centre, distance = np.array(box[::-1]) / 2, _distance(box)
        for frame in range(num_frames):
            _turn(plotter.camera, centre, distance, _START + 360.0 * frame / num_frames)
            plotter.renderer.ResetCameraClippingRange()
            plotter.render()
            view = Image.fromarray(plotter.screenshot(return_img=True))
            yield view.resize((size, size), Image.Resampling.BOX)  # smooths the edges
    finally:
        plotter.close()


def _distance(box: Sequence[float]) -> float:
    """Return how far a box that turns around z must be to be seen whole."""
    z, y, x = box
    above = math.radians(_ELEVATION)
    radius = math.hypot(y, x) / 2
    half_height = z / 2 * math.cos(above) + radius * math.sin(above)
    return radius + 1.06 * max(radius, half_height) / math.tan(math.radians(_VIEW_ANGLE / 2))


def _turn(camera: Any, centre: Array, distance: float, degrees: float) -> None:
    """Place the camera; the axis z points down, so that the first slice is on top."""
    around, above = math.radians(degrees), math.radians(_ELEVATION)
    direction = np.array(
        [math.cos(above) * math.cos(around), math.cos(above) * math.sin(around), -math.sin(above)]
    )
    camera.focal_point = tuple(centre)
    camera.position = tuple(centre + distance * direction)
    camera.up = (0.0, 0.0, -1.0)
