"""Which patch of which case a step sees.

A plan is a pure function of seed, epoch and step: nothing is stored between steps, so any step can
be drawn again, by any process, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.config.data import SamplingConfig
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.errors import InputError
from vesuv.types import Shape

_SHARE, _ORDER, _PATCH = range(3)
"""Streams of random numbers that must not meet."""


@dataclass(frozen=True)
class PatchPlan:
    """One patch to be read."""

    case: int
    """Position in the sampler's cases."""
    center: Shape
    """The drawn voxel; the patch is moved to stay inside the volume, see `patch_corner`."""
    seed: int
    """Seed of the patch's augmentation."""


@dataclass(frozen=True)
class Tile:
    """A fixed patch: case (position in the list of cases) and first voxel."""

    case: int
    corner: Shape


@dataclass(frozen=True)
class PatchSampler:
    """Draws patches: a share centred on foreground, the rest on any valid voxel.

    Cases take turns (a new shuffle each time round), so all are shown equally often; within a case
    the class of a foreground patch is uniform over the classes present, its voxel uniform over the
    voxels of that class.
    """

    cases: tuple[PreparedCase, ...]
    sampling: SamplingConfig
    seed: int
    with_foreground: tuple[int, ...]
    with_valid: tuple[int, ...]

    @classmethod
    def build(
        cls, cases: Sequence[PreparedCase], sampling: SamplingConfig, seed: int
    ) -> PatchSampler:
        """Count the cases that can be drawn from.

        Raises:
            InputError: No case holds a voxel that is not ignored.
        """
        totals = [_class_counts(case).sum(axis=(1, 2, 3)) for case in cases]
        valid = tuple(i for i, total in enumerate(totals) if total.sum() > 0)
        if not valid:
            raise InputError(
                f"labels: all voxels of the {len(totals)} cases to sample from are ignored; at "
                "least one labelled voxel is needed, check labels.ignore and labels.classes"
            )
        foreground = tuple(i for i, total in enumerate(totals) if total[1:].sum() > 0)
        return cls(tuple(cases), sampling, seed % 2**64, foreground, valid)

    def plan(
        self, epoch: int, step: int, places: Sequence[int] | None = None
    ) -> tuple[PatchPlan, ...]:
        """Return the patches of a step, or those at some places from 0 to `batch_size` - 1."""
        first = step * self.sampling.batch_size
        wanted = range(self.sampling.batch_size) if places is None else places
        return tuple(self._draw(epoch, first + place) for place in wanted)

    def _draw(self, epoch: int, index: int) -> PatchPlan:
        """Plan the epoch's patch number `index`."""
        share = self.sampling.foreground_share if self.with_foreground else 0.0
        phase = self._stream(_SHARE, epoch).random()
        before, after = int(index * share + phase), int((index + 1) * share + phase)
        centred = after > before
        candidates = self.with_foreground if centred else self.with_valid
        turn, place = divmod(before if centred else index - before, len(candidates))
        shuffle = self._stream(_ORDER, epoch, int(centred), turn)
        case = candidates[int(shuffle.permutation(len(candidates))[place])]
        rng = self._stream(_PATCH, epoch, index)
        counts = _class_counts(self.cases[case])
        if centred:
            present = np.flatnonzero(counts[1:].sum(axis=(1, 2, 3))) + 1
            center = _draw_voxel(self.cases[case], counts, int(rng.choice(present)), rng)
        else:
            center = _draw_voxel(self.cases[case], counts, None, rng)
        return PatchPlan(case, center, int(rng.integers(2**63)))

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, *key])))


def patch_corner(center: Shape, shape: Shape, patch_size: Shape) -> Shape:
    """Return the first voxel of the patch about `center`, moved to lie inside the volume.

    Along an axis that is shorter than the patch the volume is centred in it, the corner negative.
    """
    z, y, x = (
        min(max(c - edge // 2, 0), length - edge) if length >= edge else -((edge - length) // 2)
        for c, length, edge in zip(center, shape, patch_size, strict=True)
    )
    return z, y, x


def fixed_tiles(
    cases: Sequence[PreparedCase], patch_size: Shape, num: int, foreground_share: float, seed: int
) -> tuple[Tile, ...]:
    """Draw validation patches once: the same for the same cases and seed, spread over the cases."""
    sampling = SamplingConfig(
        patch_size=patch_size, batch_size=num, foreground_share=foreground_share
    )
    plans = PatchSampler.build(cases, sampling, seed).plan(epoch=0, step=0)
    return tuple(
        Tile(plan.case, patch_corner(plan.center, cases[plan.case].shape, patch_size))
        for plan in plans
    )


def _class_counts(case: PreparedCase) -> NDArray[np.int64]:
    """Voxels of each class in each block, (num_classes, bz, by, bx), without the row of totals."""
    counts: NDArray[np.int64] = case.block_counts[:-1]
    return counts


def _draw_voxel(
    case: PreparedCase, counts: NDArray[np.int64], class_index: int | None, rng: np.random.Generator
) -> Shape:
    """Draw exactly uniformly among the voxels of a class, or of all classes for None.

    A block is drawn in proportion to its count and the label is read in that block alone.
    """
    per_block = counts.sum(axis=0) if class_index is None else counts[class_index]
    ends = np.cumsum(per_block)
    rank = int(rng.integers(ends[-1]))
    block = int(np.searchsorted(ends, rank, side="right"))
    origin = [int(i) * case.block_size for i in np.unravel_index(block, per_block.shape)]
    label = case.label[tuple(slice(o, o + case.block_size) for o in origin)]
    members = np.flatnonzero(label != IGNORE if class_index is None else label == class_index)
    place = rank - int(ends[block]) + int(per_block.flat[block])
    if place >= len(members):
        raise InputError(
            f"{case.location}: a damaged store: its label does not hold what was counted in the "
            f"block at {origin}; prepare again with --overwrite"
        )
    within = np.unravel_index(members[place], label.shape)
    z, y, x = (o + int(i) for o, i in zip(origin, within, strict=True))
    return z, y, x
