"""Kinds of wrong voxels in a binary mask, each a mask of its own, and their table.

All arrays are (z, y, x). Distances are Euclidean, in voxels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vesuv.data.components import ComponentLabels, label_components
from vesuv.types import Array, Mask

TOUCHING, BREAK, IGNORED, FACE, DISPLACED, REST = (
    "touching zone",
    "break",
    "near ignored voxels",
    "near a face of the cube",
    "displaced border",
    "rest",
)
KINDS = (TOUCHING, BREAK, IGNORED, FACE, DISPLACED, REST)
"""A voxel of several kinds counts for the first of them."""
DESCRIPTIONS = {
    TOUCHING: "background within 2 voxels of two objects; with --layers, 2 voxels around a contact",
    BREAK: "missed foreground that joins two separate parts of the background",
    IGNORED: "within 3 voxels of an ignored voxel",
    FACE: "within 4 voxels of a face of the cube",
    DISPLACED: "within 1 voxel of the true border",
    REST: "all others",
}
_FACE_DEPTH = 3
"""Voxels of the thickest face of a sheet in the phantom."""
_MARGIN = 3
"""Voxels around a missed part in which the background is looked at."""
_LONGEST_WAY = 12
"""Voxels of the longest way from a missed voxel to the background."""
_DETOUR = 1
"""Voxels by which a way through missed voxels may be longer than the shortest."""


@dataclass(frozen=True)
class KindShare:
    """Wrong voxels of one kind."""

    kind: str
    false_positives: int
    """Voxels that count for this kind."""
    false_negatives: int
    any_wrong: int
    """Wrong voxels that fulfil its condition, also those that count for a kind before it."""


def near(mask: Mask, distance: float) -> Mask:
    """Return the voxels within a distance of a mask, its own included."""
    if not mask.any():
        return np.zeros(mask.shape, bool)
    return np.asarray(ndimage.distance_transform_edt(~mask) <= distance)


def near_two_objects(objects: ComponentLabels, distance: float) -> Mask:
    """Return the voxels within a distance of at least two different objects.

    Args:
        objects: Number of the object of each voxel, 0 for none.
        distance: Distance; a voxel of an object is at distance 0 of it.
    """
    num_near = np.zeros(objects.shape, np.uint8)
    margin = int(np.ceil(distance))
    for number, box in enumerate(ndimage.find_objects(objects.astype(np.int32)), start=1):
        if box is None:
            continue
        around = _padded(box, margin, objects.shape)
        close = near(objects[around] == number, distance)
        num_near[around] += close & (num_near[around] < 2)
    return num_near >= 2


def contacts(surface: Mask, air: Mask) -> Mask:
    """Return the voxels within 2 of a sheet's face that touches the sheet before it.

    There, no air is as near to the face as to one that lies free.

    Args:
        surface: The faces of the sheets, `_FACE_DEPTH` voxels deep at most.
        air: Everything between the sheets, and what is not labelled.
    """
    return near(surface & ~near(air, _FACE_DEPTH), 2)


def breaks(missed: Mask, background: Mask) -> Mask:
    """Return the missed foreground that joins two separate parts of the background.

    A missed part (6-connected) is a hole in a sheet where it touches background at both sides,
    which is separate (6-connected) in the part's surroundings; the whole sheet may end outside of
    them. Of such a part only the hole counts, not a layer missed at one side beside it: voxels
    whose ways to two sides through missed voxels are (almost) the shortest through any voxels.

    Args:
        missed: Foreground of the label that is not predicted.
        background: Background of the label; small specks are best left out.
    """
    result = np.zeros(missed.shape, bool)
    parts, _ = label_components(missed, 6)
    for number, box in enumerate(ndimage.find_objects(parts.astype(np.int32)), start=1):
        around = _padded(box, _MARGIN, missed.shape)
        part = parts[around] == number
        sides, _ = label_components(background[around], 6)
        touched = np.unique(sides[ndimage.binary_dilation(part) & (sides > 0)])
        if len(touched) >= 2:
            num_reached = np.zeros(part.shape, np.uint8)
            for side in touched:
                num_reached += _reached_straight(part, sides == side) & (num_reached < 2)
            result[around] |= num_reached >= 2
    return result


def _reached_straight(part: Mask, side: Mask) -> Mask:
    """Return the voxels of a part whose way to a side within it is (almost) the shortest of all.

    Ways lead over faces of voxels, and are at most `_LONGEST_WAY` voxels long.
    """
    distance = ndimage.distance_transform_cdt(~side, metric="taxicab")
    result, filled = np.zeros(part.shape, bool), side
    for length in range(1, _LONGEST_WAY + 1):
        grown = filled | (ndimage.binary_dilation(filled) & part)
        new = grown & ~filled
        if not new.any():
            break
        result |= new & (length <= distance + _DETOUR)
        filled = grown
    return result


def near_faces(shape: Sequence[int], distance: int) -> Mask:
    """Return the outermost voxels of a cube, `distance` of them at each face."""
    result = np.ones(tuple(shape), bool)
    result[tuple(slice(distance, max(n - distance, distance)) for n in shape)] = False
    return result


def near_border(foreground: Mask, distance: float, valid: Mask) -> Mask:
    """Return background near the foreground and foreground near the background.

    Args:
        foreground: Foreground of the label.
        distance: Largest distance to the nearest voxel of the other class.
        valid: Voxels that are judged; others are of neither class.
    """
    background = ~foreground & valid
    foreground = foreground & valid
    return (background & near(foreground, distance)) | (foreground & near(background, distance))


def without_specks(mask: Mask, smallest: int) -> tuple[Mask, ComponentLabels]:
    """Return the 6-connected components of at least some voxels, and their numbers."""
    components, _ = label_components(mask, 6)
    sizes = np.bincount(components.ravel())
    is_kept = sizes >= smallest
    is_kept[0] = False
    kept = is_kept[components]
    return kept, np.where(kept, components, 0)


def conditions(
    prediction: Mask,
    foreground: Mask,
    valid: Mask,
    *,
    objects: str,
    smallest: int,
    touching: Mask | None = None,
) -> dict[str, Mask]:
    """Return kind -> the wrong voxels that fulfil its condition.

    Args:
        prediction: Predicted foreground.
        foreground: Foreground of the label.
        valid: Judged voxels.
        objects: What is told apart in touching zones: components of the label's background
            ("background": cells between membranes) or foreground ("foreground": sheets).
        smallest: Voxels from which a component is an object or a part of the background.
        touching: The touching zones where they are known; None: background near two objects.
    """
    wrong = (prediction != foreground) & valid
    background = ~foreground & valid
    cells, numbers = without_specks(background, smallest)
    if touching is None:
        if objects == "foreground":
            _, numbers = without_specks(foreground & valid, smallest)
        touching = background & near_two_objects(numbers, 2)
    kinds = {
        TOUCHING: touching,
        BREAK: breaks(foreground & ~prediction & valid, cells),
        IGNORED: near(~valid, 3),
        FACE: near_faces(wrong.shape, 4),
        DISPLACED: near_border(foreground, 1, valid),
        REST: np.ones(wrong.shape, bool),
    }
    return {kind: kinds[kind] & wrong for kind in KINDS}


def first_kind(masks: Mapping[str, Mask]) -> Array:
    """Return for each voxel 1 + the index in `KINDS` of its first kind; 0 where it has none."""
    result = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for index, kind in reversed(list(enumerate(KINDS))):
        result[masks[kind]] = index + 1
    return result


def shares(masks: Mapping[str, Mask], prediction: Mask) -> list[KindShare]:
    """Count the wrong voxels of each kind."""
    kinds = first_kind(masks)
    return [
        KindShare(
            kind,
            int(((kinds == index + 1) & prediction).sum()),
            int(((kinds == index + 1) & ~prediction).sum()),
            int(masks[kind].sum()),
        )
        for index, kind in enumerate(KINDS)
    ]


def total(cases: Sequence[Sequence[KindShare]]) -> list[KindShare]:
    """Add the counts of several cases."""
    return [
        KindShare(
            same_kind[0].kind,
            sum(one.false_positives for one in same_kind),
            sum(one.false_negatives for one in same_kind),
            sum(one.any_wrong for one in same_kind),
        )
        for same_kind in zip(*cases, strict=True)
    ]


def _padded(box: tuple[slice, ...], margin: int, shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(
        slice(max(one.start - margin, 0), min(one.stop + margin, n))
        for one, n in zip(box, shape, strict=True)
    )
