"""Sampling of the patches of a step.

A plan is a pure function of seed, epoch and step. No state is stored between steps, so that any
process can draw any step in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.config.data import SamplingConfig
from vesuv.config.labels import Targets
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.errors import InputError
from vesuv.types import Shape

_SHARE_STREAM, _ORDER_STREAM, _PATCH_STREAM = range(3)
"""Keys of independent random streams."""


@dataclass(frozen=True)
class PatchPlan:
    """Position and augmentation seed of one patch."""

    case: int
    """Position in the sampler's cases."""
    center: Shape
    """The drawn voxel; `patch_corner` moves the patch inside the volume."""
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

    Cases are drawn in turn, in a new random order each turn, so that all are drawn equally often.
    Within a case, the class of a foreground patch is uniform over its foreground classes, or over
    its regions, and the voxel uniform over the voxels of that class or region.
    """

    cases: tuple[PreparedCase, ...]
    sampling: SamplingConfig
    seed: int
    foreground_cases: tuple[int, ...]
    valid_cases: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    """Class indices of each foreground class or region."""

    @classmethod
    def build(
        cls,
        cases: Sequence[PreparedCase],
        sampling: SamplingConfig,
        seed: int,
        targets: Targets | None = None,
    ) -> PatchSampler:
        """Find the cases with foreground and those with valid voxels.

        Args:
            cases: Cases with equal classes.
            sampling: Patches.
            seed: Seed of the patches.
            targets: Classes or regions that foreground patches are centred on; None: the classes.

        Raises:
            InputError: No case holds a valid voxel.
        """
        totals = [_layer_counts(case).sum(axis=1) for case in cases]
        valid = tuple(i for i, total in enumerate(totals) if total.sum() > 0)
        if not valid:
            raise InputError(
                f"labels: all voxels of the {len(totals)} cases to sample from are ignored; at "
                "least one labelled voxel is needed, check labels.ignore and labels.classes"
            )
        foreground = tuple(i for i, total in enumerate(totals) if total[1:].sum() > 0)
        classes = tuple((index,) for index in range(1, len(totals[0])))
        members = classes if targets is None else targets.members
        return cls(tuple(cases), sampling, seed % 2**64, foreground, valid, members)

    def plan(
        self, epoch: int, step: int, places: Sequence[int] | None = None
    ) -> tuple[PatchPlan, ...]:
        """Return the patches of a step, or those at `places` in the batch, counted from 0."""
        first = step * self.sampling.batch_size
        batch_places = range(self.sampling.batch_size) if places is None else places
        return tuple(self._draw(epoch, first + place) for place in batch_places)

    def _draw(self, epoch: int, index: int) -> PatchPlan:
        """Draw the patch number `index` of the epoch."""
        share = self.sampling.foreground_share if self.foreground_cases else 0.0
        offset = self._stream(_SHARE_STREAM, epoch).random()
        num_before, num_after = int(index * share + offset), int((index + 1) * share + offset)
        on_foreground = num_after > num_before
        candidates = self.foreground_cases if on_foreground else self.valid_cases
        turn, place = divmod(num_before if on_foreground else index - num_before, len(candidates))
        shuffle = self._stream(_ORDER_STREAM, epoch, int(on_foreground), turn)
        case = candidates[int(shuffle.permutation(len(candidates))[place])]
        rng = self._stream(_PATCH_STREAM, epoch, index)
        layers = _layer_counts(self.cases[case])
        indices: tuple[int, ...] | None = None
        if on_foreground:
            sizes = layers.sum(axis=1)
            present = np.flatnonzero([sizes[list(members)].sum() for members in self.members])
            indices = self.members[int(rng.choice(present))]
        center = _draw_voxel(self.cases[case], layers, indices, rng)
        return PatchPlan(case, center, int(rng.integers(2**63)))

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, *key])))


def patch_corner(center: Shape, shape: Shape, patch_size: Shape) -> Shape:
    """Return the first voxel of the patch around `center`, moved inside the volume.

    Along an axis shorter than the patch, the volume is centred in the patch and the corner is
    negative.
    """
    z, y, x = (
        min(max(c - edge // 2, 0), length - edge) if length >= edge else -((edge - length) // 2)
        for c, length, edge in zip(center, shape, patch_size, strict=True)
    )
    return z, y, x


def fixed_tiles(
    cases: Sequence[PreparedCase],
    patch_size: Shape,
    num: int,
    foreground_share: float,
    seed: int,
    targets: Targets | None = None,
) -> tuple[Tile, ...]:
    """Draw fixed validation patches, spread over the cases; they depend on cases and seed only."""
    sampling = SamplingConfig(
        patch_size=patch_size, batch_size=num, foreground_share=foreground_share
    )
    plans = PatchSampler.build(cases, sampling, seed, targets).plan(epoch=0, step=0)
    return tuple(
        Tile(plan.case, patch_corner(plan.center, cases[plan.case].shape, patch_size))
        for plan in plans
    )


def _layer_counts(case: PreparedCase) -> NDArray[np.int64]:
    """Voxels of each class in each layer of blocks along z, (num_classes, bz)."""
    counts: NDArray[np.int64] = case.stored_counts[:-1].sum(axis=(2, 3), dtype=np.int64)
    return counts


def _draw_voxel(
    case: PreparedCase,
    layers: NDArray[np.int64],
    class_indices: tuple[int, ...] | None,
    rng: np.random.Generator,
) -> Shape:
    """Draw uniformly among the voxels of some classes, or of all classes for None.

    A layer of blocks is drawn in proportion to its count, and a block in it; the label is read in
    that block alone.
    """
    chosen = list(range(len(layers)) if class_indices is None else class_indices)
    cumulative_layers = np.cumsum(layers[chosen].sum(axis=0))
    rank = int(rng.integers(cumulative_layers[-1]))
    layer = int(np.searchsorted(cumulative_layers, rank, side="right"))
    rank_in_layer = rank - (int(cumulative_layers[layer - 1]) if layer else 0)
    block_counts = case.stored_counts[chosen, layer].sum(axis=0, dtype=np.int64)
    cumulative_counts = np.cumsum(block_counts)
    block = int(np.searchsorted(cumulative_counts, rank_in_layer, side="right"))
    block_y, block_x = np.unravel_index(block, block_counts.shape)
    place = rank_in_layer - int(cumulative_counts[block]) + int(block_counts.flat[block])
    origin = [int(i) * case.block_size for i in (layer, block_y, block_x)]
    label = case.label[tuple(slice(start, start + case.block_size) for start in origin)]
    is_candidate = label != IGNORE if class_indices is None else np.isin(label, class_indices)
    candidates = np.flatnonzero(is_candidate)
    if place >= len(candidates):
        raise InputError(
            f"{case.location}: a damaged store: its label does not hold what was counted in the "
            f"block at {origin}; prepare again with --overwrite"
        )
    offset = np.unravel_index(candidates[place], label.shape)
    z, y, x = (start + int(i) for start, i in zip(origin, offset, strict=True))
    return z, y, x
