"""Pictures of slices of the validation tiles: image, label, probability and errors."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageColor

from vesuv.types import Array, Mask

_IGNORED = 77
"""Value of ignored voxels in slices.npz."""
_MAX_SLICES = 4
"""Maximum number of slices on the page."""
_MAX_EDGE = 320

COLOURS = {"true_positive": "#00a87e", "false_positive": "#f09600", "false_negative": "#60b4f0"}
"""Colours that people with any kind of colour vision can distinguish."""
HATCH = ("#5c6068", "#3a3d43")
"""Colours of the stripes over ignored voxels."""
RAMP = {0: "#0a0e20", 25: "#263e80", 50: "#787a80", 75: "#d6b04a", 100: "#fff4be"}
"""Probability in per cent -> colour."""


def _rgb(*colours: str) -> Array:
    return np.array([ImageColor.getrgb(colour) for colour in colours]).squeeze()


_LABEL = _rgb("#181b20", "#e8ecf1")
_STRIPES = _rgb(*HATCH)
_PALETTE = np.stack(
    [np.interp(np.arange(256) / 2.55, list(RAMP), c) for c in _rgb(*RAMP.values()).T], axis=1
)


@dataclass(frozen=True)
class Slice:
    """Middle slice of one tile; all arrays are (y, x)."""

    case: str
    z: int | None
    """Slice number in the case; None if slices.npz has none."""
    image: Array
    """Grey, 0 to 255."""
    label: Array
    """0 for background, `_IGNORED` for ignored voxels, other numbers for foreground."""
    probability: Array
    """Probability of any foreground class, 0 to 255."""
    threshold: float

    @property
    def ignored(self) -> Mask:
        return cast("Mask", self.label == _IGNORED)

    @property
    def errors(self) -> dict[str, Mask]:
        """Masks of true positives, false positives and false negatives among the valid voxels."""
        foreground = (self.label > 0) & ~self.ignored
        predicted = (self.probability / 255.0 >= self.threshold) & ~self.ignored
        return {
            "true_positive": predicted & foreground,
            "false_positive": predicted & ~foreground,
            "false_negative": ~predicted & foreground,
        }

    @property
    def counts(self) -> dict[str, int]:
        return {name: int(mask.sum()) for name, mask in self.errors.items()}

    @property
    def dice(self) -> float | None:
        """Dice of the slice; None if no foreground is labelled or predicted."""
        tp, fp, fn = self.counts.values()
        return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None

    @property
    def panels(self) -> dict[str, Markup]:
        """Pictures by name, as data URIs."""
        label = _LABEL[((self.label > 0) & ~self.ignored).astype(int)]
        errors = 0.6 * np.repeat(self.image[..., None], 3, axis=2)
        for name, mask in self.errors.items():
            errors[mask] = 0.25 * errors[mask] + 0.85 * _rgb(COLOURS[name])
        return {
            "image": png(Image.fromarray(self.image)),
            "label": png(Image.fromarray(_hatch(label, self.ignored))),
            "probability": png(_colour_probability(self.probability)),
            "errors": png(Image.fromarray(_hatch(errors, self.ignored))),
        }


def read_slices(path: Path) -> list[Slice]:
    """Read slices.npz; empty if it is missing, damaged, or holds unexpected arrays."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _slices(dict(arrays))
    except Exception:  # a damaged archive can raise any exception
        return []


def png(picture: Image.Image) -> Markup:
    """Return a picture as a data URI."""
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return Markup(f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}")


def _slices(arrays: Mapping[str, Array]) -> list[Slice]:
    stacks = [arrays[name] for name in ("image", "label", "probability")]
    shape = stacks[0].shape
    if len(shape) != 3 or 0 in shape:
        return []
    if any(stack.dtype != np.uint8 or stack.shape != shape for stack in stacks):
        return []
    threshold = float(arrays["threshold"].ravel()[0])
    threshold = threshold if 0.0 <= threshold <= 1.0 else 0.5
    cases = [*map(str, np.atleast_1d(arrays["cases"])), *[""] * _MAX_SLICES]
    z = arrays.get("z", np.zeros(0))
    z = z if z.shape == shape[:1] and z.dtype.kind in "iu" else np.full(_MAX_SLICES, None)
    stride = math.ceil(max(shape[1:]) / _MAX_EDGE)
    small_slices = zip(*(stack[:_MAX_SLICES, ::stride, ::stride] for stack in stacks), strict=True)
    return [
        Slice(case, number, image, label, probability, threshold)
        for case, number, (image, label, probability) in zip(
            cases, z.tolist(), small_slices, strict=False
        )
    ]


def _hatch(colours: Array, mask: Mask) -> Array:
    """Draw stripes over the voxels of a mask."""
    y, x = np.indices(mask.shape)
    width = max(2, max(mask.shape) // 48)
    stripes = _STRIPES[((x + y) // width) % 2]
    return np.where(mask[..., None], stripes, np.clip(colours, 0, 255)).astype(np.uint8)


def _colour_probability(probability: Array) -> Image.Image:
    picture = Image.fromarray(probability)
    picture.putpalette(_PALETTE.round().astype(np.uint8).tobytes())
    return picture
