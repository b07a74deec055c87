"""Colours of the planes of a slice: each panel shows one layer, or the errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vesuv.data.labels import IGNORE, count_values
from vesuv.errors import InputError
from vesuv.io.printable import printable
from vesuv.report.instance_colours import painted_instances
from vesuv.report.pictures import (
    BACKGROUND,
    COLOURS,
    FOREGROUND,
    PROBABILITY_PALETTE,
    class_colours,
    error_masks,
    hatch,
    rgb,
)
from vesuv.types import Array, Mask, Region
from vesuv.visualization.scene import CLASS_LAYERS, INSTANCES, VALUE_LAYERS, Scene

ERRORS = "errors"
PANELS = ("image", "label", "mask", ERRORS, INSTANCES, *VALUE_LAYERS)
"""Panels in the order in which they are shown."""
_OPACITY = 0.6
"""Opacity of classes and instances over the image."""
_PERCENTILES = (0.5, 99.5)
"""Share of the intensities that is drawn black, and white."""
_HIGH_UNCERTAINTY = 99.5
"""Share of the voxels whose uncertainty is told apart; in most voxels it is nearly 0."""
_SAMPLE, _SAMPLED_REGIONS = 100_000, 9
"""Voxels of a region, and regions, that the range of intensities is taken from."""
_LONGEST_EDGE = 2000
"""Rows or columns of a panel."""
_MOST_NAMED_CLASSES = 18
"""Classes with a colour of their own; with more the legend names none."""


@dataclass(frozen=True)
class ClassPalette:
    """Foreground classes of a scene with their colours."""

    values: tuple[int, ...]
    """Class indices, or label values where no class is declared; ascending."""
    names: tuple[str, ...]
    ignore: int | None
    """Value of ignored voxels."""

    @property
    def colours(self) -> list[str]:
        return [FOREGROUND] if len(self.values) == 1 else class_colours(len(self.values))

    @property
    def has_several(self) -> bool:
        return len(self.values) > 1

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Colour and name of each class; empty for very many."""
        is_shown = len(self.values) <= _MOST_NAMED_CLASSES
        return list(zip(self.colours, self.names, strict=True)) if is_shown else []

    def ignored(self, classes: Array) -> Mask:
        mask: Mask = (
            np.equal(classes, self.ignore)
            if self.ignore is not None
            else np.zeros(classes.shape, bool)
        )
        return mask

    def overlay(self, picture: Array, classes: Array, opacity: float) -> Array:
        """Return a picture (rows, columns, 3), or one colour, with classes (rows, columns) over it.

        Classes that the palette does not hold are left out.
        """
        values = np.array(self.values or [0])
        index = np.searchsorted(values, classes).clip(0, len(values) - 1)
        shown = (values[index] == classes) & (classes != 0)
        colours = rgb(*self.colours).reshape(-1, 3)[index] if self.values else picture
        mixed = np.where(shown[..., None], (1 - opacity) * picture + opacity * colours, picture)
        return hatch(mixed, self.ignored(classes))


@dataclass(frozen=True)
class Style:
    """What all pictures of a scene have in common, so that they can be compared."""

    palette: ClassPalette
    black: float
    white: float
    largest_uncertainty: float


def available_panels(scene: Scene) -> list[str]:
    """Return the panels that the volumes of a scene allow, in their order."""
    names = {*scene.volumes, *([ERRORS] if set(CLASS_LAYERS) <= set(scene.volumes) else [])}
    return [name for name in PANELS if name in names]


def check_panels(scene: Scene, panels: Sequence[str]) -> None:
    """Refuse panels whose volumes are not given.

    Raises:
        InputError: Names the panel and the volumes that it needs.
    """
    for name in panels:
        needed = CLASS_LAYERS if name == ERRORS else (name,)
        missing = [f"--{layer}" for layer in needed if layer not in scene.volumes]
        if name not in PANELS or missing:
            rule = f"needs {' and '.join(missing)}" if name in PANELS else "is no panel"
            raise InputError(f"--show: {name} {rule}; give it, or show another panel")


def style_of(scene: Scene, regions: Sequence[Region]) -> Style:
    """Return the style of pictures of some regions.

    Raises:
        InputError: A label holds values that are not declared.
    """
    black, white, largest = 0.0, 1.0, 1.0
    if "image" in scene.volumes and not scene.has_colours:
        samples = [_sample(scene.image(region)) for region in _spread(regions)]
        black, white = np.percentile(np.concatenate(samples), _PERCENTILES).tolist()
    if "uncertainty" in scene.volumes:
        samples = [_sample(scene.values("uncertainty", region)) for region in _spread(regions)]
        largest = high_uncertainty(np.concatenate(samples))
    return Style(palette_of(scene, regions), black, max(white, black + 1e-6), largest)


def high_uncertainty(values: Array) -> float:
    """Return the uncertainty that has the last colour of the ramp, above 0."""
    return max(float(np.percentile(values, _HIGH_UNCERTAINTY)), 1e-6)


def palette_of(scene: Scene, regions: Sequence[Region]) -> ClassPalette:
    """Return the declared classes, or the label values of some regions where none is declared."""
    labels = scene.labels
    if labels is not None:
        names = tuple(printable(name) for name in labels.names[1:])
        return ClassPalette(tuple(range(1, len(names) + 1)), names, IGNORE)
    layers = [layer for layer in CLASS_LAYERS if layer in scene.volumes]
    values: set[int] = set()
    for region in regions:
        for layer in layers:
            values |= set(count_values(scene.classes(layer, region)))
    foreground = tuple(sorted(values - {0}))
    names = tuple(map(str, foreground)) if len(foreground) > 1 else ("foreground",)
    return ClassPalette(foreground, names[: len(foreground)], None)


def error_classes(scene: Scene, palette: ClassPalette, region: Region) -> dict[str, Mask]:
    """Return the masks of the kinds of right and wrong voxels, and of the voxels "ignored"."""
    label, mask = scene.classes("label", region), scene.classes("mask", region)
    ignored = palette.ignored(label) | palette.ignored(mask)
    label, mask = (np.where(ignored, 0, part) for part in (label, mask))
    masks = error_masks(label, mask, several_classes=palette.has_several)
    return {**masks, "ignored": ignored}


def paint(scene: Scene, panel: str, region: Region, style: Style) -> Array:
    """Return a panel of a slice, (rows, columns, 3), uint8; very long edges are thinned out.

    Args:
        scene: The volumes.
        panel: One of `PANELS`.
        region: Box of voxels with one edge of length 1.
        style: Style of all pictures.
    """
    axis = next(axis for axis, part in enumerate(region) if part.stop - part.start == 1)

    def plane(voxels: Array) -> Array:
        step = -(-max(voxels.shape[:3]) // _LONGEST_EDGE)
        thinned: Array = voxels.take(0, axis)[::step, ::step]
        return thinned

    if panel in VALUE_LAYERS:
        largest = 1.0 if panel == "probability" else style.largest_uncertainty
        steps = np.clip(255 * plane(scene.values(panel, region)) / largest, 0, 255)
        return _uint8(PROBABILITY_PALETTE[_uint8(steps)])
    picture = np.array(rgb(BACKGROUND), float)
    if "image" in scene.volumes:
        picture = _grey(plane(scene.image(region)), style)
    if panel == "image":
        return _uint8(picture)
    opacity = _OPACITY if "image" in scene.volumes else 1.0
    if panel == INSTANCES:
        names = plane(scene.instances(region))
        mixed = (1 - opacity) * picture + opacity * painted_instances(names)
        return _uint8(np.where(names[..., None] > 0, mixed, picture))
    if panel in CLASS_LAYERS:
        return style.palette.overlay(picture, plane(scene.classes(panel, region)), opacity)
    masks = {
        name: plane(mask) for name, mask in error_classes(scene, style.palette, region).items()
    }
    ignored = masks.pop("ignored")
    picture = 0.6 * np.broadcast_to(picture, (*ignored.shape, 3))
    for name, mask in masks.items():
        picture[mask] = 0.25 * picture[mask] + 0.85 * rgb(COLOURS[name])
    return hatch(picture, ignored)


def _grey(plane: Array, style: Style) -> Array:
    """Return intensities (rows, columns) as grey colours; colours stay as they are."""
    if plane.ndim == 3:
        return plane.astype(float)
    scaled = (np.nan_to_num(plane.astype(float)) - style.black) / (style.white - style.black)
    return np.repeat(255 * np.clip(scaled, 0, 1)[..., None], 3, axis=2)


def _sample(voxels: Array) -> Array:
    finite = voxels[np.isfinite(voxels)].ravel()[:: max(1, voxels.size // _SAMPLE)]
    return finite if finite.size else np.zeros(1)


def _spread(regions: Sequence[Region]) -> Sequence[Region]:
    """Return some of the regions, evenly spread."""
    return regions[:: -(-len(regions) // _SAMPLED_REGIONS)]


def _uint8(values: Array) -> Array:
    return np.clip(values, 0, 255).round().astype(np.uint8)
