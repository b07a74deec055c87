"""Variation of information between two segmentations, in bits.

Source:
    Meila, Comparing clusterings, J. Multivariate Analysis 2007; Nunez-Iglesias et al., PLoS ONE
    2013 (its two halves as the cost of splits and of merges).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vesuv.data.components import label_components
from vesuv.evaluation.contingency import Contingency
from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.types import Mask


class Voi(NamedTuple):
    """The two conditional entropies whose sum is the variation of information."""

    split: float
    """H(prediction | truth): cost of true segments that are predicted in pieces."""
    merge: float
    """H(truth | prediction): cost of true segments that are predicted as one."""


def variation_of_information(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], valid: Mask | None = None
) -> Voi:
    """Compare two segmentations; names of segments do not matter, and 0 is a segment as any other.

    Args:
        prediction: Name of the segment of each voxel, any shape, not negative.
        truth: The same, same shape.
        valid: Voxels to compare; None: all.

    Returns:
        Split and merge, each at least 0; both 0 when no voxel is compared.
    """
    return voi_of(Contingency.of(prediction, truth, valid))


def voi_of(table: Contingency) -> Voi:
    """Return the variation of information of a contingency table; both 0 for an empty one."""
    if len(table.counts) == 0:
        return Voi(0.0, 0.0)
    joint = _entropy(table.counts)
    return Voi(
        split=max(joint - _entropy(table.true_sizes), 0.0),
        merge=max(joint - _entropy(table.predicted_sizes), 0.0),
    )


def component_voi(prediction: Mask, label: Mask, valid: Mask | None = None) -> Voi:
    """Compare the 26-connected components of two masks over the voxels that either holds.

    A voxel of one mask only falls in the other's background, which counts as one segment.

    Args:
        prediction: Foreground (z, y, x).
        label: Foreground, same shape.
        valid: Of the voxels that either holds, those to compare; None: all. Components are those
            of the whole masks.

    Returns:
        Split and merge; both 0 when no voxel is compared.
    """
    either = prediction | label
    return variation_of_information(
        label_components(prediction, 26)[0],
        label_components(label, 26)[0],
        either if valid is None else either & valid,
    )


def _entropy(counts: NDArray[np.int64]) -> float:
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def _values(pair: Pair) -> tuple[float, float, float]:
    if pair.ignored_voxels == "excluded":
        voi = component_voi(pair.prediction, pair.label, pair.valid)
    else:
        voi = component_voi(pair.judged_prediction, pair.label)
    return voi.split + voi.merge, voi.split, voi.merge


VOI = Measure(
    "voi",
    (
        Column("voi", "lower", headline=True),
        Column("voi_split", "lower"),
        Column("voi_merge", "lower"),
    ),
    _values,
)
