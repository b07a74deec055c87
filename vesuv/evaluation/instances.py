"""Measures of instances: cells that a boundary separates, or objects, such as nuclei.

The cells of a boundary label are the 6-connected components of its other voxels: a boundary that is
one voxel thick along the axes is open at voxels' corners, so that 26 neighbours would join cells
across it. Voxels of the label's boundary are not judged, as they belong to no cell; those of a
predicted boundary inside a true cell count as one more segment.

The objects of a foreground label are its 26-connected components. Judged is what truth or
prediction holds; the background of each is one more segment there, so that objects that are missed
or invented count as wrong.

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
    f1: float | None = None
    """Of objects: F1 score of those found, see `object_f1`."""


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


def compare_objects(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], known: Mask | None = None
) -> InstanceScores:
    """Compare two volumes of objects; the names of objects do not matter, 0 is background.

    Args:
        prediction: Name of the object of each voxel, not negative.
        truth: The same, same shape.
        known: False where the truth is not known; None: it is known everywhere.
    """
    return object_scores(object_table(prediction, truth, known))


def object_table(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], known: Mask | None = None
) -> Contingency:
    """Return the contingency table of the voxels that either holds; see `compare_objects`."""
    judged = (prediction > 0) | (truth > 0)
    return Contingency.of(prediction, truth, judged if known is None else judged & known)


def object_scores(table: Contingency) -> InstanceScores:
    """Return all scores of the table of `object_table`.

    Voxels that neither holds are left out; there are some where objects were removed since.
    """
    judged = (table.predicted > 0) | (table.true > 0)
    table = Contingency(*(column[judged] for column in table))
    return InstanceScores(voi_of(table), adapted_rand(table), object_f1(table))


def object_f1(table: Contingency) -> float:
    """Return the F1 score of objects: one is found if an object shares more than half of the union.

    No object can share so much with two others. 1 where neither holds an object.

    Source:
        Caicedo et al., Nature Methods 2019 (Data Science Bowl 2018), at the threshold 0.5.
    """
    is_pair = (table.predicted > 0) & (table.true > 0)
    sizes = [_sizes(names, table.counts) for names in (table.predicted, table.true)]
    unions = sizes[0] + sizes[1] - table.counts
    num_found = int((is_pair & (2 * table.counts > unions)).sum())
    num_objects = sum(len(np.unique(names[names > 0])) for names in (table.predicted, table.true))
    return _share(2 * num_found, num_objects)


def label_objects(foreground: Mask, known: Mask | None = None) -> ComponentLabels:
    """Return the objects of a foreground: 1, 2, …, and 0 outside.

    Args:
        foreground: Foreground (z, y, x).
        known: False where foreground is not known; such voxels get 0. None: all are known.
    """
    return label_components(foreground if known is None else foreground & known, 26)[0]


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


def _sizes(names: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the size of the segment of each row."""
    unique, places = np.unique(names, return_inverse=True)
    sizes = np.zeros(len(unique), np.int64)
    np.add.at(sizes, places, counts)
    return sizes[places]


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
