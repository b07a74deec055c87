"""Surfaces of classes, errors or instances, drawn without a screen by VTK (extra `view`)."""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from vesuv.errors import InputError
from vesuv.report.pictures import COLOURS
from vesuv.types import Array, ClassArray, Region, Shape
from vesuv.visualization.camera import turning_views
from vesuv.visualization.layout import Legend, Tile, sheet
from vesuv.visualization.meshes import Part, class_parts, instance_part, value_part
from vesuv.visualization.panels import (
    ERRORS,
    ClassPalette,
    Style,
    available_panels,
    check_panels,
    error_classes,
    high_uncertainty,
    palette_of,
)
from vesuv.visualization.scene import CLASS_LAYERS, INSTANCES, VALUE_LAYERS, Scene
from vesuv.visualization.slices import legend_of, main_panel

LARGEST_EDGE = 400
"""Edge of the level that a surface is made of, where an image has levels."""
MOST_INSTANCES = 100
"""Instances that are drawn; fewer than there are colours."""
_MOST_VOXELS = 320**3
"""Voxels that a surface is made of; larger volumes are reduced by a whole factor."""
_SLAB = 1 << 25
"""Voxels that are read at once."""
_PANELS = (INSTANCES, ERRORS, "mask", "label", *VALUE_LAYERS)
"""What is drawn if nothing is chosen: the first that is given."""
_OSMESA = ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")


def surface_frames(
    scene: Scene,
    *,
    panel: str | None = None,
    numbers: Sequence[int] = (),
    size: int = 480,
    num_frames: int = 1,
) -> Iterator[Image.Image]:
    """Yield views of a surface that turns once around the axis z, whose first slice is on top.

    Large volumes are reduced: a voxel then stands for a cube of voxels, and holds a class if one of
    them does.

    Args:
        scene: The volumes.
        panel: instances, label, mask, errors; or probability, uncertainty: the surface of the mask
            (or label) in the colours of these. None: the first that is given of instances, errors,
            mask and label.
        numbers: Instances that are drawn; if empty the `MOST_INSTANCES` of most voxels.
        size: Edge of a picture in pixels.
        num_frames: Views.

    Raises:
        InputError: A package is missing, a volume or instance is not there, or no foreground is.
    """
    pyvista = load_pyvista()
    available = available_panels(scene)
    panel = panel or next((one for one in _PANELS if one in available), main_panel(scene))
    step = math.ceil((math.prod(scene.shape) / _MOST_VOXELS) ** (1 / 3))
    slabs = _slabs(scene.shape, step)
    if panel == INSTANCES:
        parts, legend, title = _instance_parts(pyvista, scene, numbers, slabs, step)
    elif numbers:
        raise InputError(f"--numbers: belongs to {INSTANCES}, found {panel}; leave it out")
    else:
        parts, legend, title = _class_parts(pyvista, scene, panel, slabs, step)
    pairs = zip(scene.shape, scene.spacing, strict=True)
    box = [-(-edge // step) * step * length for edge, length in pairs]
    for view in turning_views(pyvista, parts, box, size, num_frames):
        yield sheet([[Tile(view, title)]], legend)


def _instance_parts(
    pyvista: Any, scene: Scene, chosen: Sequence[int], slabs: Sequence[Region], step: int
) -> tuple[list[Part], Legend, str]:
    """Return the surfaces of the chosen or largest instances, and the title of the picture."""
    check_panels(scene, [INSTANCES])
    sizes = _instance_sizes(scene, slabs)
    numbers = _drawn_instances(sizes, chosen, scene.names[INSTANCES])
    order = np.argsort(numbers)

    def read_places(region: Region) -> ClassArray:
        voxels = scene.instances(region)
        index = np.searchsorted(numbers, voxels, sorter=order).clip(0, len(numbers) - 1)
        places = order[index]
        return np.where(numbers[places] == voxels, places + 1, 0).astype(np.uint8)

    places = _reduced(slabs, step, read_places)
    spacing = [step * edge for edge in scene.spacing]
    title = INSTANCES
    if len(sizes) > len(numbers):
        title += f": {len(numbers)}{'' if chosen else ' largest'} of {len(sizes)}"
    return [instance_part(pyvista, places, numbers, spacing)], Legend([], []), title


def _instance_sizes(scene: Scene, slabs: Sequence[Region]) -> Counter[int]:
    """Return number of each instance -> its voxels."""
    sizes: Counter[int] = Counter()
    for region in slabs:
        values, counts = np.unique(scene.instances(region), return_counts=True)
        sizes.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    del sizes[0]
    return sizes


def _drawn_instances(sizes: Counter[int], chosen: Sequence[int], name: str) -> Array:
    """Return the numbers of the instances that are drawn, the largest first.

    In this order the largest value of a cube of voxels is that of its smallest instance, which is
    seen then.
    """
    if not sizes:
        raise InputError(f"--surface: needs instances, {name} holds none; give another volume")
    for number in chosen:
        if number not in sizes:
            raise InputError(f"--numbers: {name} holds no instance {number}; name another")
    if len(set(chosen)) > MOST_INSTANCES:
        raise InputError(
            f"--numbers: a surface shows {MOST_INSTANCES} instances, found {len(chosen)}; name "
            "fewer"
        )
    by_size = sorted(set(chosen) or sizes, key=lambda number: (-sizes[number], number))
    return np.array(by_size[:MOST_INSTANCES])


def _class_parts(
    pyvista: Any, scene: Scene, panel: str, slabs: Sequence[Region], step: int
) -> tuple[list[Part], Legend, str]:
    """Return the surfaces of classes or errors, or one in the colours of values."""
    source = _source(scene, panel)
    palette = palette_of(scene, slabs)
    classes = _reduced(slabs, step, _class_reader(scene, source, palette))
    if not classes.any():
        where = "label and mask hold" if source == ERRORS else f"{scene.names[source]} holds"
        raise InputError(f"--surface: needs foreground voxels, {where} none; give another volume")
    spacing = [step * edge for edge in scene.spacing]
    largest = 1.0
    if panel in VALUE_LAYERS:
        values = _reduced(slabs, step, lambda region: scene.values(panel, region))
        largest = 1.0 if panel == "probability" else high_uncertainty(values[classes > 0])
        parts = [value_part(pyvista, classes, values, spacing, largest)]
    else:
        parts = class_parts(pyvista, classes, _colours(source, palette), spacing)
    legend = legend_of(scene, [panel], Style(palette, 0.0, 1.0, largest))
    return parts, Legend(_shown(legend, parts), legend.ramps), panel


def _source(scene: Scene, panel: str) -> str:
    """Return what the surface encloses: errors, mask or label."""
    check_panels(scene, [panel])
    layer = next((layer for layer in ("mask", "label") if layer in scene.volumes), None)
    if panel == "image" or layer is None:
        raise InputError(
            "--surface: needs the classes of a --mask or --label, or --instances; give one of them"
        )
    return panel if panel in (ERRORS, *CLASS_LAYERS) else layer


def load_pyvista() -> Any:
    """Return the module pyvista.

    Raises:
        InputError: It is not installed, or the computer has no library of OpenGL to draw with.
    """
    try:
        import pyvista
        from vtkmodules.vtkCommonCore import vtkLogger
        from vtkmodules.vtkRenderingCore import vtkRenderWindow
        from vtkmodules.vtkRenderingOpenGL2 import vtkOSOpenGLRenderWindow
    except ImportError as fault:
        raise InputError(
            f"--surface: needs the package pyvista, found none ({fault}); install vesuv[view]"
        ) from None
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)  # it tells which of them are not there
    # Without a library VTK ends the process, so the one of its last resort is tried first.
    if isinstance(vtkRenderWindow(), vtkOSOpenGLRenderWindow) and not _has_osmesa():
        raise InputError(
            "--surface: needs OpenGL, found no libEGL and no libOSMesa; install Mesa (Debian and "
            "Ubuntu: libegl1 libgl1-mesa-dri)"
        )
    return pyvista


def _has_osmesa() -> bool:
    for name in _OSMESA:
        with suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def _slabs(shape: Shape, step: int) -> list[Region]:
    """Return slabs of slices that make up a volume, of a multiple of `step` slices each."""
    z, y, x = shape
    depth = max(1, _SLAB // (y * x * step)) * step
    return [
        (slice(start, min(start + depth, z)), slice(0, y), slice(0, x))
        for start in range(0, z, depth)
    ]


def _class_reader(
    scene: Scene, source: str, palette: ClassPalette
) -> Callable[[Region], ClassArray]:
    """Return the function that reads the place of each voxel's class among the colours, from 1."""

    def read_errors(region: Region) -> ClassArray:
        masks = error_classes(scene, palette, region)
        places: ClassArray = np.zeros(masks["ignored"].shape, np.uint8)
        for place, kind in enumerate(_colours(ERRORS, palette), start=1):
            places[masks[kind]] = place
        return places

    def read_classes(region: Region) -> ClassArray:
        classes = scene.classes(source, region)
        values = np.array([*palette.values, np.iinfo(np.int64).max])
        index = np.searchsorted(values, classes).clip(0, len(values) - 1)
        is_foreground = (values[index] == classes) & (classes != 0) & ~palette.ignored(classes)
        return np.where(is_foreground, index % 254 + 1, 0).astype(np.uint8)

    return read_errors if source == ERRORS else read_classes


def _colours(source: str, palette: ClassPalette) -> dict[str, str]:
    """Return name -> colour of the surfaces."""
    if source == ERRORS:
        kinds = [kind for kind in COLOURS if kind != "wrong_class" or palette.has_several]
        return {kind: COLOURS[kind] for kind in kinds}
    return dict(zip(palette.names, palette.colours, strict=True))


def _reduced(slabs: Sequence[Region], step: int, read: Callable[[Region], Array]) -> Array:
    """Return the largest value of each cube of step³ voxels."""
    parts = []
    for region in slabs:
        voxels = read(region)
        padding = [(0, -edge % step) for edge in voxels.shape]
        padded = np.pad(voxels, padding, mode="edge") if step > 1 else voxels
        z, y, x = (edge // step for edge in padded.shape)
        parts.append(padded.reshape(z, step, y, step, x, step).max(axis=(1, 3, 5)))
    return np.concatenate(parts)


def _shown(legend: Legend, parts: Sequence[Part]) -> list[tuple[str, str]]:
    """Return the entries of the legend whose colour is drawn."""
    colours = {part.style.get("color") for part in parts}
    return [entry for entry in legend.colours if entry[0] in colours]
