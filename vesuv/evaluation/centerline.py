"""clDice for tubes, and its counterpart for sheets.

Both are the harmonic mean of two shares: of the prediction's skeleton that lies in the label, and
of the label's skeleton that lies in the prediction. The skeleton of a tube is a curve. The skeleton
of a sheet is a medial surface, because the curves of a sheet depend on every wrinkle. Skeletons are
those of the voxel grid, whatever the spacing.

Source:
    Shit et al., clDice: a novel topology-preserving loss function for tubular structure
    segmentation, CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vesuv.evaluation.measure import Column, Measure
from vesuv.evaluation.nearest import bounding_box, nearest_distances, surface_voxels
from vesuv.evaluation.thinning import curve_skeleton
from vesuv.types import Mask


def cldice(prediction: Mask, label: Mask) -> float:
    """Return the clDice of two masks (z, y, x): 1 when both are empty, 0 when one is."""
    return _mutual_share(prediction, label, curve_skeleton)


def surface_cldice(prediction: Mask, label: Mask) -> float:
    """Return the same on medial surfaces: 1 when both masks are empty, 0 when one is."""
    return _mutual_share(prediction, label, medial_surface)


def medial_surface(mask: Mask) -> Mask:
    """Return the ridge of the distance to the background: the middle of a sheet.

    A voxel is on the ridge when along one axis neither neighbour is farther from the background and
    at least one is nearer. A sheet is taken to go on beyond the volume. Every component keeps a
    voxel; a sheet of even thickness keeps its two middle layers, a volume without background
    everything.
    """
    if mask.all() or not mask.any():
        return mask.copy()
    medial = np.zeros_like(mask)
    box = bounding_box(mask, margin=1)
    assert box is not None
    part = mask[box]
    depths = np.zeros(part.shape, np.float32)
    depths[part] = nearest_distances(part, surface_voxels(~part))
    medial[box][part] = _on_ridge(depths, part)
    return medial


def _on_ridge(depths: NDArray[np.float32], mask: Mask) -> Mask:
    """Tell for each voxel of a mask whether its depth is a ridge along one axis."""
    padded = np.pad(depths, 1, mode="edge")
    flat = padded.reshape(-1)
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    places = np.flatnonzero(np.pad(mask, 1))
    here = flat[places]
    ridge = np.zeros(len(places), bool)
    for stride in strides:
        before, after = flat[places - stride], flat[places + stride]
        ridge |= (here >= before) & (here >= after) & ((here > before) | (here > after))
    return ridge


def _mutual_share(prediction: Mask, label: Mask, skeleton_of: Callable[[Mask], Mask]) -> float:
    if not prediction.any() or not label.any():
        return 0.0 if prediction.any() or label.any() else 1.0
    precision = _share_inside(skeleton_of(prediction), label)
    sensitivity = _share_inside(skeleton_of(label), prediction)
    if precision + sensitivity == 0.0:
        return 0.0
    return 2 * precision * sensitivity / (precision + sensitivity)


def _share_inside(skeleton: Mask, mask: Mask) -> float:
    return int(np.count_nonzero(skeleton & mask)) / int(np.count_nonzero(skeleton))


CLDICE = Measure(
    "cldice",
    (Column("cldice", "higher", headline=True, short_name="clDice"),),
    lambda pair: (cldice(pair.judged_prediction, pair.label),),
)
SURFACE_CLDICE = Measure(
    "surface_cldice",
    (Column("surface_cldice", "higher", headline=True, short_name="s.clDice"),),
    lambda pair: (surface_cldice(pair.judged_prediction, pair.label),),
)
