"""Full Betti matching by the library that defined it: the compiled part of `topolosses`."""

from __future__ import annotations

import numpy as np

from vesuv.runtime.betti_library import betti_library
from vesuv.types import Mask

FeatureCounts = tuple[int, int, int]
"""Features of dimension 0, 1 and 2."""


def full_matching(
    prediction: Mask, label: Mask
) -> tuple[FeatureCounts, FeatureCounts, FeatureCounts]:
    """Match two masks of one octant by persistent homology, every cell of both.

    Takes seconds and gigabytes where the counts of `betti_matching` take a fraction.

    Returns:
        Matched, predicted and labelled features by dimension.

    Raises:
        InputError: The extra `topology` is not installed.
    """
    volumes = (np.subtract(1.0, mask, dtype=np.float64) for mask in (prediction, label))
    result = betti_library().compute_matching(*volumes)
    matched = np.asarray(result.num_matched)
    predicted = matched + np.asarray(result.num_unmatched_input1)
    labelled = matched + np.asarray(result.num_unmatched_input2)
    matched, predicted, labelled = (part.tolist() for part in (matched, predicted, labelled))
    return tuple(matched), tuple(predicted), tuple(labelled)
