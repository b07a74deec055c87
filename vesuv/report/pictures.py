"""Pictures of slices of the validation tiles: image, label, probability and errors."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageColor

from vesuv.io.printable import printable
from vesuv.types import Array, ClassArray, Mask

_IGNORED_GREY = 77
"""Value of ignored voxels in the label of slices.npz."""
_IGNORED_CLASS = 255
"""Value of ignored voxels in its label_classes."""
_MAX_SLICES = 4
"""Maximum number of slices on the page."""
_MAX_EDGE = 320

COLOURS = {
    "true_positive": "#00a87e",
    "false_positive": "#f09600",
    "false_negative": "#60b4f0",
    "wrong_class": "#b43ce6",
}
"""Colours that people with any kind of colour vision can distinguish."""
_CLASS_COLOURS = ("#f0e442", "#d55e00", "#0072b2", "#cc79a7", "#56b4e9", "#009e73")
"""Okabe and Ito's colours; those that resemble the colours of errors are last."""
FOREGROUND = "#c8553d"
"""Colour of a single foreground class."""
_SHADES = (1.0, 0.6, 0.35)
"""Brightness of the first six classes, the next six, and the six after those."""
BACKGROUND = "#181b20"
"""Colour of the background in labels and predictions."""
HATCH = ("#5c6068", "#3a3d43")
"""Colours of the stripes over ignored voxels."""
RAMP = {0: "#0a0e20", 25: "#263e80", 50: "#787a80", 75: "#d6b04a", 100: "#fff4be"}
"""Probability in per cent -> colour."""


def rgb(*colours: str) -> Array:
    """Return colours such as "#f09600" as numbers 0 to 255, (n, 3), or (3,) of a single one."""
    return np.array([ImageColor.getrgb(colour) for colour in colours]).squeeze()


def error_masks(label: Array, prediction: Array, *, several_classes: bool) -> dict[str, Mask]:
    """Return the masks of true positives, false positives and false negatives.

    With several classes also of foreground that is predicted as another foreground class, which is
    no true positive.

    Args:
        label: Class indices.
        prediction: Class indices, of the same shape.
        several_classes: Whether there is more than one foreground class.
    """
    foreground, predicted = label > 0, prediction > 0
    wrong_class = foreground & predicted & (label != prediction)
    masks = {
        "true_positive": predicted & foreground & ~wrong_class,
        "false_positive": predicted & ~foreground,
        "false_negative": ~predicted & foreground,
    }
    return masks | ({"wrong_class": wrong_class} if several_classes else {})


def class_colours(num: int) -> list[str]:
    """Return a colour for each of `num` foreground classes; equal ones from the 19th on."""
    num_colours, num_shades = len(_CLASS_COLOURS), len(_SHADES)
    colours = []
    for index in range(num):
        shade = _SHADES[index // num_colours % num_shades]
        red, green, blue = (shade * rgb(_CLASS_COLOURS[index % num_colours])).astype(int)
        colours.append(f"#{red:02x}{green:02x}{blue:02x}")
    return colours


_LABEL = rgb(BACKGROUND, "#e8ecf1")
_STRIPES = rgb(*HATCH)
PROBABILITY_PALETTE = np.stack(
    [np.interp(np.arange(256) / 2.55, list(RAMP), c) for c in rgb(*RAMP.values()).T], axis=1
)
"""Colours of the probabilities 0/255 to 255/255, (256, 3)."""


@dataclass(frozen=True)
class Slice:
    """Middle slice of one tile; all arrays are (y, x)."""

    case: str
    z: int | None
    """Slice number in the case; None if slices.npz has none."""
    image: Array
    """Grey, 0 to 255."""
    label: ClassArray
    """Class index; 0 where ignored."""
    prediction: ClassArray
    """Class index; 0 where ignored."""
    ignored: Mask
    probability: Array
    """Probability of any foreground class, 0 to 255."""
    threshold: float
    class_names: tuple[str, ...] = ()
    """Foreground classes if there are several; empty for two classes."""

    @property
    def errors(self) -> dict[str, Mask]:
        """Masks of the kinds of right and wrong voxels among the valid ones."""
        return error_masks(self.label, self.prediction, several_classes=bool(self.class_names))

    @property
    def counts(self) -> dict[str, int]:
        return {name: int(mask.sum()) for name, mask in self.errors.items()}

    @property
    def class_dice(self) -> dict[str, float]:
        """Dice of each foreground class that is labelled or predicted; "" is the name of one."""
        names = dict(enumerate(self.class_names or ("",), start=1))
        sizes = {k: int((self.label == k).sum() + (self.prediction == k).sum()) for k in names}
        return {
            name: 2 * int(((self.label == k) & (self.prediction == k)).sum()) / sizes[k]
            for k, name in names.items()
            if sizes[k]
        }

    @property
    def dice(self) -> float | None:
        """Dice of the slice, the mean over classes; None without labelled or predicted ones."""
        return fmean(self.class_dice.values()) if self.class_dice else None

    @property
    def panels(self) -> dict[str, Markup]:
        """Pictures by name, as data URIs."""
        errors = 0.6 * np.repeat(self.image[..., None], 3, axis=2)
        for name, mask in self.errors.items():
            errors[mask] = 0.25 * errors[mask] + 0.85 * rgb(COLOURS[name])
        panels = {
            "image": Image.fromarray(self.image),
            "label": Image.fromarray(hatch(self._colour_classes(self.label), self.ignored)),
        }
        if self.class_names:
            prediction = self._colour_classes(self.prediction)
            panels["prediction"] = Image.fromarray(hatch(prediction, self.ignored))
        panels["probability"] = _colour_probability(self.probability)
        panels["errors"] = Image.fromarray(hatch(errors, self.ignored))
        return {name: png(picture) for name, picture in panels.items()}

    def _colour_classes(self, classes: ClassArray) -> Array:
        if not self.class_names:
            return _LABEL[classes]
        palette = rgb(BACKGROUND, *class_colours(len(self.class_names)))
        return palette[classes]


def read_slices(path: Path) -> list[Slice]:
    """Read slices.npz; empty if it is missing, damaged, or holds unexpected arrays."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _slices(dict(arrays))
    except Exception:  # a damaged archive can raise any exception
        return []


def read_png(path: Path) -> Image.Image | None:
    """Read a picture; None if it is missing or damaged."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.convert("L")
    except Exception:  # a damaged picture can raise any exception
        return None


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
    image, label, probability = (stack[:_MAX_SLICES, ::stride, ::stride] for stack in stacks)
    prediction = (probability / 255.0 >= threshold).astype(np.uint8)
    ignored, label = label == _IGNORED_GREY, (label > 0).astype(np.uint8)
    class_names = _class_names(arrays, shape)
    if class_names:
        names = ("label_classes", "predicted_classes")
        label, prediction = (arrays[name][:_MAX_SLICES, ::stride, ::stride] for name in names)
        ignored = label == _IGNORED_CLASS
    label, prediction = (np.where(ignored, 0, part) for part in (label, prediction))
    slices = zip(image, label, prediction, ignored, probability, strict=True)
    return [
        Slice(case, number, *parts, threshold, class_names)
        for case, number, parts in zip(cases, z.tolist(), slices, strict=False)
    ]


def _class_names(arrays: Mapping[str, Array], shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the foreground classes; empty without valid arrays of several classes."""
    names = tuple(map(str, np.atleast_1d(arrays.get("class_names", ()))))
    for part in ("label_classes", "predicted_classes"):
        classes = arrays.get(part)
        if classes is None or classes.dtype != np.uint8 or classes.shape != shape:
            return ()
        if (classes[classes != _IGNORED_CLASS] >= len(names)).any():
            return ()
    return tuple(map(printable, names[1:])) if len(names) > 2 else ()


def hatch(colours: Array, mask: Mask) -> Array:
    """Return colours (y, x, 3) as uint8, with stripes over the voxels of a mask."""
    y, x = np.indices(mask.shape)
    width = max(2, max(mask.shape) // 48)
    stripes = _STRIPES[((x + y) // width) % 2]
    return np.where(mask[..., None], stripes, np.clip(colours, 0, 255)).astype(np.uint8)


def _colour_probability(probability: Array) -> Image.Image:
    picture = Image.fromarray(probability)
    picture.putpalette(PROBABILITY_PALETTE.round().astype(np.uint8).tobytes())
    return picture
