"""Measures of instances: cells that a boundary, such as a membrane, separates.

The cells of a boundary label are the 6-connected components of its other voxels: a boundary that is
one voxel thick along the axes is open at voxels' corners, so that 26 neighbours would join cells
across it. Voxels of the label's boundary are not judged, as they belong to no cell; those of a
predicted boundary inside a true cell count as one more segment.

Source:
    VOI: see `vesuv.evaluation.voi`. Adapted Rand error: Arganda-Carreras et al., Frontiers in
    Neuroanatomy 2015, as in the CREMI and SNEMI3D challenges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vesuv.data.components import ComponentLabels, label_components
from vesuv.evaluation.contingency import Contingency
from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.evaluation.voi import Voi, voi_of
from vesuv.types import Mask


class AdaptedRand(NamedTuple):
    """One minus the F-score of the pairs of voxels that lie in one segment."""

    error: float
    """0 for equal segmentations, at most 1."""
    precision: float
    """Share of the pairs in one predicted segment that lie in one true segment: low for merges."""
    recall: float
    """Share of the pairs in one true segment that lie in one predicted segment: low for splits."""


class InstanceScores(NamedTuple):
    """Scores of one volume of instances."""

    voi: Voi
    """Variation of information, in bits."""
    rand: AdaptedRand


def adapted_rand(table: Contingency) -> AdaptedRand:
    """Return the adapted Rand error of a contingency table; 0 where no two voxels are compared.

    A share of no pairs is 1: segments of one voxel each cannot be wrong.
    """
    common = _pairs(table.counts)
    predicted, true = _pairs(table.predicted_sizes), _pairs(table.true_sizes)
    return AdaptedRand(
        error=1.0 - _share(2 * common, predicted + true),
        precision=_share(common, predicted),
        recall=_share(common, true),
    )


def instance_scores(table: Contingency) -> InstanceScores:
    """Return all scores of a contingency table."""
    return InstanceScores(voi_of(table), adapted_rand(table))


def compare_instances(
    prediction: NDArray[np.integer], truth: NDArray[np.integer]
) -> InstanceScores:
    """Compare two volumes of instances; the names of instances do not matter.

    Args:
        prediction: Name of the instance of each voxel, not negative; 0 is an instance as any other.
        truth: The same, same shape; voxels with 0 are not judged.
    """
    return instance_scores(Contingency.of(prediction, truth, truth != 0))


def label_cells(boundary: Mask, valid: Mask | None = None) -> ComponentLabels:
    """Return the cells that a boundary separates: 1, 2, …, and 0 on the boundary.

    Args:
        boundary: Boundary (z, y, x).
        valid: False where neither boundary nor cell is known; such voxels get 0, too, and separate
            cells as the boundary does. None: all are known.
    """
    inside = ~boundary if valid is None else ~boundary & valid
    return label_components(inside, 6)[0]


def _pairs(sizes: NDArray[np.int64]) -> int:
    """Return twice the number of pairs of voxels within segments, as a Python integer."""
    return sum(size * (size - 1) for size in sizes.tolist())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _values(pair: Pair) -> tuple[float, ...]:
    scores = compare_instances(label_cells(pair.prediction), label_cells(pair.label, pair.valid))
    voi, rand = scores.voi, scores.rand
    return voi.split + voi.merge, voi.split, voi.merge, rand.error


CELLS = Measure(
    "cells",
    (
        Column("cell_voi", "lower", headline=True, short_name="cell VOI"),
        Column("cell_voi_split", "lower"),
        Column("cell_voi_merge", "lower"),
        Column("cell_rand_error", "lower"),
    ),
    _values,
)
"""Cells between the predicted boundary against those between the label's, of a mask of it."""
