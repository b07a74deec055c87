"""Volumes in neuroglancer, in a browser on this computer (extra `view`); nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from vesuv.errors import InputError
from vesuv.io.formats.units import convert
from vesuv.report.pictures import COLOURS, RAMP, rgb
from vesuv.types import Array, Region, Shape
from vesuv.visualization.panels import (
    ERRORS,
    ClassPalette,
    Style,
    available_panels,
    error_classes,
    style_of,
)
from vesuv.visualization.scene import CLASS_LAYERS, INSTANCES, VALUE_LAYERS, Scene
from vesuv.visualization.slices import main_panel, slice_region, spread_slices

_SAMPLED_SLICES = 8
"""Slices of the coarsest level that intensities and label values are looked up in."""
_PANEL_PIXELS = 260
"""Length on the screen that a volume has at first."""
_OPACITY = 0.5
_COLOUR_SEED = 3
"""Seed of neuroglancer's colours of instances."""
_GREY = """#uicontrol invlerp normalized
void main() { emitGrayscale(normalized()); }
"""
_BROWSER_TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")
"""Number types of images that neuroglancer draws."""


@dataclass(frozen=True)
class BrowserView:
    """Volumes that neuroglancer serves as long as this object is held."""

    viewer: Any
    """The `neuroglancer.Viewer`, whose state may be changed."""

    @property
    def url(self) -> str:
        """Address of the page, which holds a secret token."""
        return str(self.viewer.get_viewer_url())


def open_browser_view(levels: Sequence[Scene], port: int = 0) -> BrowserView:
    """Serve volumes to browsers on this computer.

    The browser asks for the regions and the level that it shows, and these are read. Errors are
    computed for them. Of the layers only the image and the one that says most are visible at first.

    Args:
        levels: The result of `open_levels`, or a single scene in a list.
        port: Port on this computer; 0: a free one.

    Raises:
        InputError: The package neuroglancer is missing, or a volume cannot be read.
    """
    neuroglancer = load_neuroglancer()
    from vesuv.visualization.pyramid_volume import PyramidVolume

    neuroglancer.set_server_bind_address("127.0.0.1", port)
    scene, coarsest = levels[0], levels[-1]
    numbers = spread_slices(_SAMPLED_SLICES, scene.full_shape[0])
    style = style_of(coarsest, [slice_region(coarsest, "z", number) for number in numbers])
    space = _coordinates(neuroglancer, scene, "zyx")
    viewer = neuroglancer.Viewer()
    with viewer.txn() as state:
        state.dimensions = _coordinates(neuroglancer, scene, "xyz")
        lengths = np.multiply(scene.shape, scene.spacing) / min(scene.spacing)
        state.position = [edge / 2 for edge in scene.shape[::-1]]
        state.cross_section_scale = float(lengths.max()) / _PANEL_PIXELS
        state.projection_scale = 1.6 * float(lengths.max())
        state.layout = "4panel"
        for panel in available_panels(scene):
            kind = "image" if panel in ("image", *VALUE_LAYERS) else "segmentation"
            readers = [LevelReader(level, panel, style.palette) for level in levels]
            source = PyramidVolume(readers, space, kind)
            layer = _layer(neuroglancer, panel, source, style)
            state.layers[_name(panel, style)] = layer
            is_visible = panel in ("image", main_panel(scene))
            state.layers[_name(panel, style)].visible = is_visible
    return BrowserView(viewer)


def load_neuroglancer() -> Any:
    """Return the module neuroglancer.

    Raises:
        InputError: It is not installed.
    """
    try:
        import neuroglancer
    except ImportError:
        raise InputError(
            "--browser: needs the package neuroglancer, found none; install vesuv[view]"
        ) from None
    return neuroglancer


class LevelReader:
    """Reads regions of a panel of one level, in a number type that neuroglancer draws."""

    def __init__(self, scene: Scene, panel: str, palette: ClassPalette) -> None:
        self._scene, self._panel, self._palette = scene, panel, palette
        self.shape: Shape = scene.shape

    def __call__(self, region: Region) -> Array:
        scene, panel = self._scene, self._panel
        if panel in VALUE_LAYERS:
            return scene.values(panel, region)
        if panel == "image":
            image = scene.image(region)
            image = image.mean(axis=-1) if scene.has_colours else image
            return image if str(image.dtype) in _BROWSER_TYPES else image.astype(np.float32)
        if panel in CLASS_LAYERS:
            return scene.classes(panel, region).astype(np.uint32)
        if panel == INSTANCES:
            has_long_numbers = scene.volumes[INSTANCES].voxels.dtype.itemsize > 4
            return scene.instances(region).astype(np.uint64 if has_long_numbers else np.uint32)
        masks = error_classes(scene, self._palette, region)
        segments: Array = np.zeros(masks["ignored"].shape, np.uint32)
        for segment, kind in enumerate(_error_kinds(self._palette), start=1):
            segments[masks[kind] & ~masks["ignored"]] = segment
        return segments


def _layer(neuroglancer: Any, panel: str, source: Any, style: Style) -> Any:
    if panel == "image":
        limits = {"normalized": {"range": [style.black, style.white]}}
        return neuroglancer.ImageLayer(source=source, shader=_GREY, shader_controls=limits)
    if panel in VALUE_LAYERS:
        largest = 1.0 if panel == "probability" else style.largest_uncertainty
        return neuroglancer.ImageLayer(
            source=source, shader=_ramp_shader(largest), opacity=_OPACITY
        )
    if panel == INSTANCES:  # no segment is chosen: all are shown, in colours by their number
        return neuroglancer.SegmentationLayer(
            source=source, color_seed=_COLOUR_SEED, selected_alpha=_OPACITY
        )
    palette = style.palette
    colours = dict(zip(palette.values, palette.colours, strict=True))
    if panel == ERRORS:
        kinds = _error_kinds(palette)
        colours = {segment: COLOURS[kind] for segment, kind in enumerate(kinds, start=1)}
    return neuroglancer.SegmentationLayer(
        source=source, segments=list(colours), segment_colors=colours, selected_alpha=_OPACITY
    )


def _name(panel: str, style: Style) -> str:
    """Return the name of a layer, which says what the numbers of its segments mean."""
    if panel == ERRORS:
        names = [kind.replace("_", " ") for kind in _error_kinds(style.palette)]
    elif panel in CLASS_LAYERS and style.palette.has_several:
        names = [name for _, name in style.palette.legend]
    else:
        return panel
    return f"{panel}: {', '.join(f'{k} {name}' for k, name in enumerate(names, start=1))}"


def _error_kinds(palette: ClassPalette) -> list[str]:
    return [kind for kind in COLOURS if kind != "wrong_class" or palette.has_several]


def _ramp_shader(largest: float) -> str:
    """Return a shader that draws numbers from 0 to the largest in the colours of `RAMP`."""
    stops = [(percent / 100, rgb(colour) / 255) for percent, colour in RAMP.items()]
    lines = [f"  vec3 c = {_vec3(stops[0][1])};"]
    for (low, _), (high, colour) in pairwise(stops):
        share = f"clamp((v - {low:.4f}) / {high - low:.4f}, 0.0, 1.0)"
        lines.append(f"  c = mix(c, {_vec3(colour)}, {share});")
    value = f"  float v = toRaw(getDataValue()) / {largest:.9f};"
    return "\n".join(["void main() {", value, *lines, "  emitRGB(c);", "}", ""])


def _vec3(colour: Array) -> str:
    return f"vec3({', '.join(f'{part:.4f}' for part in colour)})"


def _coordinates(neuroglancer: Any, scene: Scene, names: str) -> Any:
    edges = dict(zip("zyx", scene.spacing, strict=True))
    scales = [convert(edges[name], scene.unit, "m") for name in names]
    units = ["m" if scene.unit else ""] * 3
    return neuroglancer.CoordinateSpace(names=list(names), units=units, scales=scales)
