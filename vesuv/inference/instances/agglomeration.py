"""Agglomeration of fragments by the mean boundary probability of their contacts.

Of all touching fragments, the two with the lowest mean over the faces of their contact are united,
again and again; their contacts with a common neighbour become one. This is the MeanAffinity
agglomeration of waterz, computed here because waterz takes affinities of volumes in memory and not
a region graph that blocks have measured.

The lowest mean never falls: the mean of two joined contacts is not below the lower one of them. So
the result for a threshold is the beginning of the order of merges, and one order gives the result
of every threshold.

Source:
    Funke et al., Large Scale Image Segmentation with Structured Loss based Deep Learning for
    Connectome Reconstruction, IEEE TPAMI 2019; github.com/funkey/waterz.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.region_graph import Contacts, Names

Sizes = NDArray[np.int64]


class Merge(NamedTuple):
    """Two fragments that become one."""

    mean: float
    """Mean level of their contact."""
    kept: int
    """Name of the united fragment."""
    absorbed: int


@dataclass(frozen=True)
class MergeOrder:
    """Merges in the order of their mean."""

    means: NDArray[np.float64]
    kept: Names
    absorbed: Names

    def names_at(self, threshold: float, num: int) -> Names:
        """Return the name of the united fragment of each fragment 0, 1, … below `num`.

        Args:
            threshold: Mean boundary probability below which fragments are united.
            num: Number of names.
        """
        stop = int(np.searchsorted(self.means, threshold * PROBABILITY_STEPS, side="left"))
        return _names(self.kept[:stop], self.absorbed[:stop], num)


def merge_order(contacts: Contacts, threshold: float = 1.0) -> MergeOrder:
    """Return the merges of touching fragments.

    Args:
        contacts: Contacts of fragments.
        threshold: Mean boundary probability at which merging ends.
    """
    merges = list(_merges(contacts, highest=threshold * PROBABILITY_STEPS))
    return MergeOrder(
        np.array([merge.mean for merge in merges], np.float64),
        np.array([merge.kept for merge in merges], np.int64),
        np.array([merge.absorbed for merge in merges], np.int64),
    )


def join_small(contacts: Contacts, sizes: Sizes, smallest: int) -> Names:
    """Let fragments of fewer voxels join the neighbour across the contact of the lowest mean.

    Args:
        contacts: Contacts of fragments.
        sizes: Voxels of each fragment 0, 1, …
        smallest: Voxels from which a fragment stays.

    Returns:
        Name of the united fragment of each fragment.
    """
    merges = list(_merges(contacts, sizes=sizes.tolist(), smallest=smallest))
    kept = np.array([merge.kept for merge in merges], np.int64)
    return _names(kept, np.array([merge.absorbed for merge in merges], np.int64), len(sizes))


def agglomerate(contacts: Contacts, sizes: Sizes, parameters: InstanceParameters) -> Names:
    """Return the instance of each fragment, the instances in the order of their first fragment.

    Args:
        contacts: Contacts of fragments.
        sizes: Voxels of each fragment; 0 for name 0, and for fragments that others stand for.
        parameters: Thresholds.

    Returns:
        Instance 1, 2, … of each fragment with voxels, and 0 for others and for small objects.
    """
    order = merge_order(contacts, parameters.agglomeration_threshold)
    names = cut(order, contacts, sizes, parameters)
    return numbered(np.where(sizes > 0, names, 0))


def cut(
    order: MergeOrder, contacts: Contacts, sizes: Sizes, parameters: InstanceParameters
) -> Names:
    """Return the united fragment of each fragment; 0 for objects that are too small.

    Args:
        order: Merges up to the threshold or beyond it.
        contacts: Contacts of the fragments.
        sizes: Voxels of each fragment.
        parameters: Threshold and smallest size.
    """
    names = order.names_at(parameters.agglomeration_threshold, len(sizes))
    united, smallest = united_sizes(names, sizes), parameters.smallest_instance
    if smallest <= 1 or not ((united > 0) & (united < smallest)).any():
        return names
    names = join_small(contacts.renamed(names), united, smallest)[names]
    if parameters.foreground_threshold is None:
        return names
    return np.where(united_sizes(names, sizes)[names] < smallest, 0, names)


def united_sizes(names: Names, sizes: Sizes) -> Sizes:
    """Return the voxels of each united fragment; those of other names are 0."""
    return np.bincount(names, weights=sizes, minlength=len(sizes)).astype(np.int64)


def numbered(names: Names) -> Names:
    """Number names 1, 2, … in the order in which they appear; 0 stays 0."""
    is_named, numbers = names > 0, np.zeros(len(names), np.int64)
    _, first, places = np.unique(names[is_named], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1)
    numbers[is_named] = rank[places]
    return numbers


def _merges(
    contacts: Contacts,
    *,
    highest: float = math.inf,
    sizes: list[int] | None = None,
    smallest: int = 0,
) -> Iterator[Merge]:
    """Unite the two fragments of the lowest mean, and yield it, until none is left.

    Args:
        contacts: Contacts of fragments.
        highest: Mean level at which it ends.
        sizes: Voxels of each fragment, changed in place; None: all fragments are united.
        smallest: One of two fragments must have fewer voxels.
    """
    neighbours: dict[int, dict[int, tuple[int, int]]] = {}
    queue = []
    columns = (contacts.first, contacts.second, contacts.sums, contacts.counts)
    for a, b, total, count in zip(*(column.tolist() for column in columns), strict=True):
        neighbours.setdefault(a, {})[b] = neighbours.setdefault(b, {})[a] = (total, count)
        queue.append((total / count, a, b, total, count))
    heapq.heapify(queue)
    while queue:
        mean, a, b, total, count = heapq.heappop(queue)
        if mean >= highest:
            return
        if neighbours[a].get(b) != (total, count):
            continue  # one of the two was united with another since
        if sizes is not None:
            if min(sizes[a], sizes[b]) >= smallest:
                continue
            sizes[a] = sizes[b] = sizes[a] + sizes[b]
        kept, absorbed = (a, b) if len(neighbours[a]) >= len(neighbours[b]) else (b, a)
        yield Merge(mean, kept, absorbed)
        for contact in _absorb(neighbours, kept, absorbed):
            heapq.heappush(queue, contact)


def _absorb(
    neighbours: dict[int, dict[int, tuple[int, int]]], kept: int, absorbed: int
) -> Iterator[tuple[float, int, int, int, int]]:
    """Give a fragment's contacts to another, and yield the contacts that have changed."""
    own = neighbours[kept]
    del own[absorbed], neighbours[absorbed][kept]
    for other, (total, count) in neighbours[absorbed].items():
        del neighbours[other][absorbed]
        former_total, former_count = own.get(other, (0, 0))
        contact = former_total + total, former_count + count
        own[other] = neighbours[other][kept] = contact
        low, high = min(kept, other), max(kept, other)
        yield contact[0] / contact[1], low, high, *contact
    neighbours[absorbed] = {}


def _names(kept: Names, absorbed: Names, num: int) -> Names:
    """Follow merges from the last to the first, so that each fragment gets its final name."""
    names = np.arange(num)
    for one, other in zip(kept[::-1].tolist(), absorbed[::-1].tolist(), strict=True):
        names[other] = names[one]
    return names
