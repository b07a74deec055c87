"""Each post-processing step on a prediction with the faults that it is for."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from docs.gallery.drawing import BLUE, IMAGES, ORANGE, WHITE, labelled_cube, painted, write_row
from vesuv.data.phantom import SURFACE
from vesuv.inference.postprocess import STEPS
from vesuv.io.formats.volume import NO_SPACING
from vesuv.types import Array

_SETTINGS: dict[str, dict[str, object]] = {
    "threshold": {"value": 0.5},
    "hysteresis": {"low": 0.3, "high": 0.85},
    "remove_small": {"voxels": 60},
    "closing": {"radius": (1, 2, 2)},
    "keep_largest": {"num": 2},
}
"""Settings of the steps whose defaults do nothing here, or that have none."""


def main() -> None:
    """Draw a row for each step: label, input, output with what was removed and added."""
    surface = labelled_cube() == SURFACE
    probs, z = _probabilities(surface), len(surface) // 2
    mask = _flawed_mask(probs >= 0.5, z)
    for name, kind in STEPS.items():
        step = kind.model_validate({"name": name, **_SETTINGS.get(name, {})})
        given = probs if step.cuts else mask
        result = step(given, NO_SPACING)
        before = mask if not step.cuts else probs >= 0.5
        panels = [
            ("label", painted(surface[z].shape, (surface[z], WHITE))),
            ("probability" if step.cuts else "mask before", _input(given[z])),
            (str(step)[:30], _change(before[z], result[z])),
        ]
        write_row(IMAGES / "postprocessing" / f"{name}.png", panels)


def _probabilities(surface: Array) -> Array:
    """Sheets of uneven confidence, with speckle between them."""
    rng = np.random.default_rng(3)
    probs = ndimage.gaussian_filter(surface.astype(np.float32), 0.7)
    field = ndimage.gaussian_filter(rng.standard_normal(surface.shape), 5.0)
    probs *= 1.15 + 0.45 * field / field.std()
    probs += 0.35 * ndimage.gaussian_filter(rng.standard_normal(surface.shape), 1.0)
    for y, x in _between_sheets(probs[len(probs) // 2]):
        z = len(probs) // 2
        probs[z : z + 2, y : y + 3, x : x + 3] = 0.62
    clipped: Array = np.clip(probs, 0, 1).astype(np.float32)
    return clipped


def _between_sheets(probs: Array) -> list[tuple[int, int]]:
    """Return places (y, x) of a slice far from the sheets and from each other."""
    distance = ndimage.distance_transform_edt(probs < 0.3)
    places: list[tuple[int, int]] = []
    for place in np.argsort(-distance, axis=None):
        y, x = divmod(int(place), probs.shape[1])
        if all(abs(y - v) + abs(x - u) > 14 for v, u in places) and max(y, x) < len(probs) - 4:
            places.append((y - 1, x - 1))
        if len(places) == 4:
            break
    return places


def _flawed_mask(mask: Array, z: int) -> Array:
    """Add what the probabilities do not show in one slice: pin holes and a hollow ball."""
    flawed = mask.copy()
    filled = ndimage.binary_closing(mask, iterations=1)
    _, y, x = np.indices(mask.shape)
    pin = filled & ((y % 7 == 3) & (x % 7 == 3))
    flawed = (flawed | filled) & ~pin
    n = len(mask)
    centre = np.array([z, n - 9, 8])
    distance = np.sqrt(((np.indices(mask.shape) - centre[:, None, None, None]) ** 2).sum(0))
    flawed[distance < 7] = False
    flawed[(distance < 5) & (distance > 2)] = True
    flawed[z, 2:10, 2:10] |= np.eye(8, dtype=bool)
    return flawed


def _input(values: Array) -> Array:
    if values.dtype == np.bool_:
        return painted(values.shape, (values, WHITE))
    return np.repeat(255.0 * values[..., None], 3, axis=2)


def _change(before: Array, after: Array) -> Array:
    """White: kept, orange: removed, blue: added, against the input or the threshold 0.5."""
    return painted(
        after.shape, (before & after, WHITE), (before & ~after, ORANGE), (after & ~before, BLUE)
    )


if __name__ == "__main__":
    main()
