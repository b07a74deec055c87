"""clDice, and its counterpart for sheets: do the thinned shapes lie in one another?

Both are the harmonic mean of the share of the thinned prediction that lies in the label, and of
the thinned label that lies in the prediction. They differ in the thinning: curves for tubes, medial
surfaces for sheets, whose curves would hang on every wrinkle.

Source:
    Shit et al., clDice: a novel topology-preserving loss function for tubular structure
    segmentation, CVPR 2021.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

from vesuv.evaluation.run_graph import Mask


def cldice(prediction: Mask, label: Mask) -> float:
    """Return the clDice: 1 when both masks are empty, 0 when one is."""
    return _mutual(_thin(prediction), _thin(label), prediction, label)


def surface_cldice(prediction: Mask, label: Mask) -> float:
    """Return the same on medial surfaces: 1 when both masks are empty, 0 when one is."""
    return _mutual(medial_surface(prediction), medial_surface(label), prediction, label)


def medial_surface(mask: Mask) -> Mask:
    """Keep the voxels that are deepest along some axis across which the depth falls.

    Depth is the distance to the background; a sheet is taken to go on beyond the volume. A voxel
    stays when along one axis neither neighbour is deeper and at least one is less deep. A sheet of
    an even number of voxels keeps its two middle layers, a volume without background everything.
    """
    if mask.all() or not mask.any():
        return mask.copy()
    depth = np.pad(np.asarray(distance_transform_edt(mask)), 1, mode="edge")
    inner = (slice(1, -1),) * mask.ndim
    medial = np.zeros_like(mask)
    for axis in range(mask.ndim):
        before, after = (np.roll(depth, step, axis)[inner] for step in (1, -1))
        here = depth[inner]
        ridge = (here >= before) & (here >= after) & ((here > before) | (here > after))
        medial |= ridge
    return medial & mask


def _thin(mask: Mask) -> Mask:
    # skimage drops voxels that touch the rim of the array
    thin = np.asarray(skeletonize(np.pad(mask, 1)), np.bool_)
    return thin[(slice(1, -1),) * mask.ndim]


def _mutual(thin_prediction: Mask, thin_label: Mask, prediction: Mask, label: Mask) -> float:
    predicted, labelled = int(thin_prediction.sum()), int(thin_label.sum())
    if predicted == 0 and labelled == 0:
        return 1.0
    if predicted == 0 or labelled == 0:
        return 0.0
    precision = int((thin_prediction & label).sum()) / predicted
    recall = int((thin_label & prediction).sum()) / labelled
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
