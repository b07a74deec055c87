"""Each panel of `vesuv view`, and its ways of looking at many slices, on the phantom of balls."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from docs.gallery.drawing import IMAGES
from vesuv.config.labels import LabelsConfig
from vesuv.inference.instances.arrays import segment_instances
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.types import Array
from vesuv.visualization.scene import Scene, scene_of
from vesuv.visualization.slices import contact_sheet, slice_rows
from vesuv.visualization.surface import surface_frames

_SHAPE = (36, 64, 64)
_NUM_BALLS = 26
_COLOURS = 128
"""Colours of a written picture: fewer make a smaller file."""
_LABELS = LabelsConfig(classes={"background": 0, "ball": 1}, ignore=2)
_OBJECTS = InstanceParameters(
    foreground_threshold=0.5, seed_threshold=0.5, seed_smoothing=1.0, agglomeration_threshold=0.7
)


def main() -> None:
    """Draw a slice with each panel, and a contact sheet and surfaces of instances."""
    scene = _scene()
    pictures = {
        "classes": slice_rows(scene, [18], panels=["image", "label", "mask", "errors"], size=220),
        "values": slice_rows(scene, [18], panels=["probability", "uncertainty"], size=220),
        "instances": slice_rows(scene, [12, 24], panels=["image", "label", "instances"], size=220),
        "contact_sheet": contact_sheet(scene, 6, panel="instances", size=180),
        "surface": next(surface_frames(scene, panel="instances", size=360)),
    }
    for name, picture in pictures.items():
        path = IMAGES / "viewing" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _scene() -> Scene:
    rng = np.random.default_rng(4)
    inside = _balls(rng)
    label = (inside > 0).astype(np.uint8)
    label[:, :, :6] = 2
    noise = ndimage.gaussian_filter(rng.normal(size=_SHAPE), 1.5)
    probs = 1 / (1 + np.exp(-2 * (inside - 0.3 + 1.6 * noise / noise.std() * 0.4)))
    image = 90 + 70 * (inside > 0) + 18 * rng.normal(size=_SHAPE)
    bits = -(probs * np.log2(probs + 1e-9) + (1 - probs) * np.log2(1 - probs + 1e-9))
    return scene_of(
        {
            "image": ndimage.gaussian_filter(image, 0.7).astype(np.float32),
            "label": label,
            "mask": (probs >= 0.5).astype(np.uint8),
            "instances": segment_instances(probs.astype(np.float32), _OBJECTS),
            "probability": probs.astype(np.float32),
            "uncertainty": bits.astype(np.float32),
        },
        labels=_LABELS,
    )


def _balls(rng: np.random.Generator) -> Array:
    """Return how deep each voxel lies in the nearest of random balls; negative outside."""
    voxels = np.stack(np.meshgrid(*map(np.arange, _SHAPE), indexing="ij"), axis=-1)
    centres, radii = rng.uniform(4, np.array(_SHAPE) - 4, (_NUM_BALLS, 3)), rng.uniform(5, 9, 99)
    depths = [r - np.linalg.norm(voxels - c, axis=-1) for c, r in zip(centres, radii, strict=False)]
    deepest: Array = np.max(depths, axis=0)
    return deepest


if __name__ == "__main__":
    main()
