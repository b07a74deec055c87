"""A voxel mask as a small graph: straight runs of voxels are nodes, their contacts edges.

Of the cubical complex that has a vertex for each foreground voxel (6-neighbours joined, squares and
cubes filled) everything along the first axis is contracted: a run is a maximal line of foreground
voxels along it, a contact is the stretch over which two runs in neighbouring lines touch, a corner
the stretch over which four runs around a line touch. Homology stays the same, and a contact keeps
the place of its first voxel, which is all that its order needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.types import Mask

Indices = NDArray[np.integer]


@dataclass(frozen=True)
class FlatLayout:
    """Flat indices of the voxels of a volume: its first axis runs fastest, and every axis ends in
    one empty voxel, so that no shift of a flat mask leaks into the next line or slice."""

    shape: tuple[int, int, int]

    @property
    def third(self) -> int:
        """Places between neighbours along the third axis."""
        return self.shape[0] + 1

    @property
    def second(self) -> int:
        """Places between neighbours along the second axis."""
        return (self.shape[2] + 1) * self.third

    def flatten(self, mask: Mask) -> Mask:
        """Return the mask by flat place."""
        padded = np.zeros([self.shape[1] + 1, self.shape[2] + 1, self.shape[0] + 1], bool)
        padded[:-1, :-1, :-1] = mask.transpose(1, 2, 0)
        return padded.reshape(-1)


@dataclass(frozen=True)
class RunGraph:
    """Runs and contacts of a mask; contacts along the third axis stand before the second's."""

    num_runs: int
    ends: tuple[Indices, Indices]
    """The two runs of each contact."""
    along_third: Indices
    """Flat place of the first voxel of each contact of neighbours along the third axis."""
    along_second: Indices


def run_starts(mask: Mask) -> Mask:
    """Mark the first voxel of each run of a flat mask."""
    starts = mask.copy()
    starts[1:] &= ~mask[:-1]
    return starts


def run_index(starts: Mask) -> NDArray[np.int32]:
    """Number the runs: at each place the index of the last run that starts there or before."""
    index = np.cumsum(starts, dtype=np.int32)
    index -= 1
    return index


def touching(mask: Mask, step: int) -> Mask:
    """Mark the places where a flat mask holds both the voxel and the one `step` places on."""
    both = mask.copy()
    both[:-step] &= mask[step:]
    both[-step:] = False
    return both


def run_graph(layout: FlatLayout, mask: Mask) -> RunGraph:
    """Return the graph of a flat mask with at least one voxel."""
    run = run_index(run_starts(mask))
    third = np.flatnonzero(run_starts(touching(mask, layout.third)))
    second = np.flatnonzero(run_starts(touching(mask, layout.second)))
    return RunGraph(
        num_runs=int(run[-1]) + 1,
        ends=(
            np.concatenate([run[third], run[second]]),
            np.concatenate([run[third + layout.third], run[second + layout.second]]),
        ),
        along_third=third,
        along_second=second,
    )
