"""Union-find on tables of numpy: which labels of all blocks are one component.

`parents` holds for each label a label of the same component that is not higher; the lowest label of
a component, its root, holds itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def unite(parents: Labels, a: Labels, b: Labels) -> None:
    """Unite the components of each pair of labels.

    Args:
        parents: Changed in place.
        a: First label of each pair.
        b: Second label of each pair.
    """
    while True:
        a, b = find_roots(parents, a), find_roots(parents, b)
        is_apart = a != b
        if not is_apart.any():
            return
        a, b = a[is_apart], b[is_apart]
        # a root that is united with several gets the lowest; the next turn unites the others
        np.minimum.at(parents, np.maximum(a, b), np.minimum(a, b))


def find_roots(parents: Labels, labels: Labels) -> Labels:
    """Return the root of each label, and let the labels point to it directly."""
    roots = parents[labels]
    while True:
        above = parents[roots]
        if np.array_equal(above, roots):
            parents[labels] = roots
            return roots
        roots = above


def compress_paths(parents: Labels) -> None:
    """Let every label point to its root directly."""
    while True:
        above = parents[parents]
        if np.array_equal(above, parents):
            return
        parents[:] = above
