"""Features of a prediction that Betti matching pairs with features of a label, in closed form.

Binary volumes leave little to Betti matching: every feature is born with the foreground and dies
when the background is filled in, so only the order of that filling decides, and it is a raster
scan. Components and cavities are attached to one growing part in scan order and can be counted
from labellings of the union; loops are counted in `loops`. `betti_wheel` gives the same counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.evaluation.betti import Betti, betti_numbers, label_background, label_foreground
from vesuv.evaluation.betti_wheel import FeatureCounts, full_matching
from vesuv.evaluation.loops import matched_loops
from vesuv.types import Mask

MOST_LOOPS = 50_000
"""Loops of an octant's union beyond which vectors of that many bits would fill the memory."""


@dataclass(frozen=True)
class MatchCounts:
    """Features by dimension: components (one fewer than there are), loops, cavities."""

    matched: FeatureCounts
    """Surely matched; all that are, where `matched_high` is the same."""
    matched_high: FeatureCounts
    predicted: FeatureCounts
    labelled: FeatureCounts

    def __add__(self, other: MatchCounts) -> MatchCounts:
        """Pool two octants."""
        return MatchCounts(
            _add(self.matched, other.matched),
            _add(self.matched_high, other.matched_high),
            _add(self.predicted, other.predicted),
            _add(self.labelled, other.labelled),
        )


def _add(left: FeatureCounts, right: FeatureCounts) -> FeatureCounts:
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2])


def match_octants(prediction: Mask, label: Mask, *, exact: bool) -> MatchCounts:
    """Match the eight octants of a volume one by one and pool the counts.

    Raises:
        InputError: `exact`, an octant has more than `MOST_LOOPS` loops, and the extra `topology`
            is not installed.
    """
    none = (0, 0, 0)
    total = MatchCounts(none, none, none, none)
    for octant in octants(prediction.shape):
        total += match(prediction[octant], label[octant], exact=exact)
    return total


def octants(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield the parts of a volume halved along each axis, the longer half first; none is empty."""
    halves = [(slice(0, -(-length // 2)), slice(-(-length // 2), length)) for length in shape]
    for octant in itertools.product(*halves):
        if all(part.stop > part.start for part in octant):
            yield octant


def match(prediction: Mask, label: Mask, *, exact: bool) -> MatchCounts:
    """Match two masks of equal shape as one octant.

    Args:
        prediction: Foreground.
        label: Foreground.
        exact: False leaves bounds where there are more than `MOST_LOOPS` loops in the union.
    """
    predicted, labelled = (_features(betti_numbers(mask)) for mask in (prediction, label))
    components = min(predicted[0], labelled[0]) and _matched_components(prediction, label)
    cavities = min(predicted[2], labelled[2]) and _matched_cavities(prediction, label)
    loops = loops_high = min(predicted[1], labelled[1])
    if loops:
        union = prediction | label
        num = betti_numbers(union).loops
        if num <= MOST_LOOPS:
            loops = loops_high = matched_loops(prediction, label)
        elif exact:
            loops = loops_high = full_matching(prediction, label)[0][1]
        else:
            loops, loops_high = 0, min(loops, num)
    low, high = (components, loops, cavities), (components, loops_high, cavities)
    return MatchCounts(low, high, predicted, labelled)


def _features(betti: Betti) -> FeatureCounts:
    """Return the Betti numbers as features with an end: one component lives for ever."""
    return (max(betti.components - 1, 0), betti.loops, betti.cavities)


def _matched_components(prediction: Mask, label: Mask) -> int:
    """Count matched pairs of dimension 0.

    Components of the union join one growing part in scan order. A pair is matched when both the
    part and the component that joins it hold predicted and labelled voxels: all components that
    hold both, but for the first of them unless the part has met both kinds before.
    """
    labels, num = label_foreground(prediction | label)
    holds = np.zeros(num + 1, np.uint8)
    holds[labels[prediction]] = 1
    labelled = np.zeros(num + 1, np.uint8)
    labelled[labels[label]] = 2
    holds |= labelled
    both = int(np.count_nonzero(holds == 3))
    if both == 0:
        return 0
    kind = holds[labels]
    first, others = _joins(kind, 3), [_joins(kind, 1), _joins(kind, 2)]
    return both if max(others) < first else both - 1


def _joins(kind: NDArray[np.uint8], wanted_kind: int) -> float:
    """Return when the first component of a kind joins: the place of the edge that it joins by.

    Edges are scanned by their lower voxel, then along the first, second and third axis. A voxel
    joins from the plane before it; in the first plane from the line before; in the first line from
    the voxel before.
    """
    moments = [np.inf]
    line = np.flatnonzero(kind[0, 0] == wanted_kind)[:1]
    moments += [3.0 * (column - 1) + 2 for column in line.tolist()]
    plane = np.flatnonzero(kind[0, 1:] == wanted_kind)[:1]
    moments += [3.0 * place + 1 for place in plane.tolist()]
    volume = kind[1:].reshape(-1) == wanted_kind
    if volume.any():
        moments.append(3.0 * int(volume.argmax()))
    return min(moments)


def _matched_cavities(prediction: Mask, label: Mask) -> int:
    """Count matched pairs of dimension 2.

    A cavity of the union lies in one background component of the prediction and one of the label.
    It is matched when both are cavities and it is the last in scan order within each.
    """
    union, num = label_background(prediction | label)
    if num == 0:
        return 0
    place = np.flatnonzero((union != 0) & (union != union.flat[0]))
    last = np.zeros(int(union.max()) + 1, np.int64)
    np.maximum.at(last, union.reshape(-1)[place], place)
    ends = np.sort(last[last > 0])
    matched = np.ones(len(ends), bool)
    for mask in (prediction, label):
        labels, _ = label_background(mask)
        around = labels.reshape(-1)[ends]
        _, from_behind = np.unique(around[::-1], return_index=True)
        latest = np.zeros(len(ends), bool)
        latest[len(ends) - 1 - from_behind] = True
        matched &= latest & (around != labels.flat[0])
    return int(matched.sum())
