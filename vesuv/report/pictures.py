"""Slices of the validation tiles as pictures: image, label, probability and errors."""

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
"""How slices.npz codes a voxel that is not judged."""
_MOST = 4
"""Slices that are shown."""
_LONGEST_EDGE = 320

COLOURS = {"right": "#00a87e", "extra": "#f09600", "missed": "#60b4f0"}
"""True positive, false positive, false negative: told apart by every kind of colour vision."""
HATCH = ("#5c6068", "#3a3d43")
"""Stripes over what is not judged."""
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
    """One tile's middle slice, (y, x) each."""

    case: str
    z: int | None
    """Place in the case; None where slices.npz does not say."""
    image: Array
    """Grey, 0 to 255."""
    label: Array
    """0 for background, `_IGNORED` where nothing is judged, other numbers for foreground."""
    probability: Array
    """Of any foreground class, 0 to 255."""
    threshold: float

    @property
    def ignored(self) -> Mask:
        return cast("Mask", self.label == _IGNORED)

    @property
    def errors(self) -> dict[str, Mask]:
        """Judged voxels that are rightly found, found too much, and missed."""
        foreground = (self.label > 0) & ~self.ignored
        predicted = (self.probability / 255.0 >= self.threshold) & ~self.ignored
        return {
            "right": predicted & foreground,
            "extra": predicted & ~foreground,
            "missed": ~predicted & foreground,
        }

    @property
    def counts(self) -> dict[str, int]:
        return {name: int(where.sum()) for name, where in self.errors.items()}

    @property
    def dice(self) -> float | None:
        """Dice of the slice; None where there is nothing to find and nothing found."""
        right, extra, missed = self.counts.values()
        return 2 * right / (2 * right + extra + missed) if right + extra + missed else None

    @property
    def panels(self) -> dict[str, Markup]:
        """Pictures by name, as data URIs."""
        label = _LABEL[((self.label > 0) & ~self.ignored).astype(int)]
        errors = 0.6 * np.repeat(self.image[..., None], 3, axis=2)
        for name, where in self.errors.items():
            errors[where] = 0.25 * errors[where] + 0.85 * _rgb(COLOURS[name])
        return {
            "image": png(Image.fromarray(self.image)),
            "label": png(Image.fromarray(_hatched(label, self.ignored))),
            "probability": png(_coloured(self.probability)),
            "errors": png(Image.fromarray(_hatched(errors, self.ignored))),
        }


def read_slices(path: Path) -> list[Slice]:
    """Read slices.npz; empty where it is missing, spoilt, or holds arrays of another make."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _slices(dict(stored))
    except Exception:  # numpy has no list of what a spoilt archive raises
        return []


def png(picture: Image.Image) -> Markup:
    """Return a picture as a data URI."""
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return Markup(f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}")


def _slices(stored: Mapping[str, Array]) -> list[Slice]:
    stacks = [stored[name] for name in ("image", "label", "probability")]
    shape = stacks[0].shape
    if len(shape) != 3 or 0 in shape:
        return []
    if any(stack.dtype != np.uint8 or stack.shape != shape for stack in stacks):
        return []
    threshold = float(stored["threshold"].ravel()[0])
    threshold = threshold if 0.0 <= threshold <= 1.0 else 0.5
    cases = [*map(str, np.atleast_1d(stored["cases"])), *[""] * _MOST]
    z = stored.get("z", np.zeros(0))
    z = z if z.shape == shape[:1] and z.dtype.kind in "iu" else np.full(_MOST, None)
    stride = math.ceil(max(shape[1:]) / _LONGEST_EDGE)
    small = zip(*(stack[:_MOST, ::stride, ::stride] for stack in stacks), strict=True)
    return [
        Slice(case, place, image, label, probability, threshold)
        for case, place, (image, label, probability) in zip(cases, z.tolist(), small, strict=False)
    ]


def _hatched(colours: Array, where: Mask) -> Array:
    """Lay stripes over what is not judged."""
    y, x = np.indices(where.shape)
    width = max(2, max(where.shape) // 48)
    stripes = _STRIPES[((x + y) // width) % 2]
    return np.where(where[..., None], stripes, np.clip(colours, 0, 255)).astype(np.uint8)


def _coloured(probability: Array) -> Image.Image:
    picture = Image.fromarray(probability)
    picture.putpalette(_PALETTE.round().astype(np.uint8).tobytes())
    return picture
