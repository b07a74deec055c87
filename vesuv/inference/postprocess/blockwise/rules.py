"""Steps on whole components as rules: what is measured in a block, how the measures of the parts of
a component add up, and which components are selected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vesuv.config.postprocess import Step
from vesuv.data.components import ComponentLabels
from vesuv.inference.postprocess.blockwise.grid import Block
from vesuv.inference.postprocess.components import (
    Connectivity,
    FillCavities,
    KeepLargest,
    RemoveSmall,
    border_axes,
    component_sizes,
)
from vesuv.inference.postprocess.cuts import Hysteresis, threshold
from vesuv.types import Array, Mask, Shape, Spacing

Column = NDArray[Any]
"""One value for each label."""


@dataclass(frozen=True)
class LabelledBlock:
    """Components in one block of a volume."""

    block: Block
    volume_shape: Shape
    volume: Array
    """Voxels of the block, probabilities or mask."""
    labels: ComponentLabels
    """Label of each voxel, 0 outside the components."""
    num: int
    """Number of labels; some may have voxels outside the block only."""


class ComponentRule(ABC):
    """Which components of a volume are selected."""

    merges: ClassVar[tuple[np.ufunc, ...]]
    """For each column of measures the function that merges those of united labels."""
    connectivity: Connectivity
    is_inverted: ClassVar[bool] = False
    """Whether the result is the complement of the selected components."""

    @abstractmethod
    def foreground(self, volume: Array) -> Mask:
        """Return the voxels whose components are labelled."""

    @abstractmethod
    def measure(self, part: LabelledBlock) -> tuple[Column, ...]:
        """Return columns of measures of the labels 0 to `part.num` in one block."""

    @abstractmethod
    def select(self, *columns: Column) -> Mask:
        """Return whether each component is selected, from its merged measures.

        The outside of the components in each block is a row too, and of no importance.
        """


@dataclass(frozen=True)
class SizeRule(ComponentRule):
    """Components of at least some voxels."""

    merges: ClassVar[tuple[np.ufunc, ...]] = (np.add,)
    min_voxels: int
    connectivity: Connectivity

    def foreground(self, volume: Array) -> Mask:
        return volume

    def measure(self, part: LabelledBlock) -> tuple[Column, ...]:
        return (component_sizes(part.labels, part.num),)

    def select(self, *columns: Column) -> Mask:
        (sizes,) = columns
        selected: Mask = sizes >= self.min_voxels
        return selected


@dataclass(frozen=True)
class LargestRule(ComponentRule):
    """The largest components; of equal sizes those with the first voxels."""

    merges: ClassVar[tuple[np.ufunc, ...]] = (np.add, np.minimum)
    num: int
    connectivity: Connectivity

    def foreground(self, volume: Array) -> Mask:
        return volume

    def measure(self, part: LabelledBlock) -> tuple[Column, ...]:
        return component_sizes(part.labels, part.num), _first_voxels(part)

    def select(self, *columns: Column) -> Mask:
        sizes, first_voxels = columns
        components = np.flatnonzero(sizes)
        order = np.lexsort((first_voxels[components], -sizes[components]))
        selected = np.zeros(len(sizes), bool)
        selected[components[order[: self.num]]] = True
        return selected


@dataclass(frozen=True)
class HighRule(ComponentRule):
    """Components of probabilities from `low` with a voxel from `high`."""

    merges: ClassVar[tuple[np.ufunc, ...]] = (np.logical_or,)
    low: float
    high: float
    connectivity: Connectivity = 26

    def foreground(self, volume: Array) -> Mask:
        return threshold(volume, self.low)

    def measure(self, part: LabelledBlock) -> tuple[Column, ...]:
        reaches_high = np.zeros(part.num + 1, bool)
        reaches_high[part.labels[threshold(part.volume, self.high)]] = True
        return (reaches_high,)

    def select(self, *columns: Column) -> Mask:
        return columns[0]


@dataclass(frozen=True)
class OutsideRule(ComponentRule):
    """Background that reaches the border of the volume; its complement has no cavities."""

    merges: ClassVar[tuple[np.ufunc, ...]] = (np.logical_or,)
    is_inverted: ClassVar[bool] = True
    connectivity: Connectivity = 6
    in_plane: bool = False
    """See `border_axes`."""

    def foreground(self, volume: Array) -> Mask:
        return ~volume

    def measure(self, part: LabelledBlock) -> tuple[Column, ...]:
        reaches_border = np.zeros(part.num + 1, bool)
        for axis in border_axes(part.volume_shape, self.in_plane):
            if part.block.start[axis] == 0:
                reaches_border[part.labels.take(0, axis=axis)] = True
            if part.block.stop[axis] == part.volume_shape[axis]:
                reaches_border[part.labels.take(-1, axis=axis)] = True
        return (reaches_border,)

    def select(self, *columns: Column) -> Mask:
        return columns[0]


def component_rule(step: Step, spacing: Spacing) -> ComponentRule | None:
    """Return the rule of a step; None where it is not one on whole components."""
    match step:
        case RemoveSmall():
            return SizeRule(step.min_voxels(spacing), step.connectivity)
        case KeepLargest():
            return LargestRule(step.num, step.connectivity)
        case Hysteresis():
            return HighRule(step.low, step.high)
        case FillCavities():
            return OutsideRule(in_plane=True)
    return None


def _first_voxels(part: LabelledBlock) -> NDArray[np.int64]:
    """Return the flat index in the volume of the first voxel of each label."""
    flat = part.labels.ravel()
    places = np.flatnonzero(flat)[::-1]  # of several values for one label the last one stays
    firsts = np.full(part.num + 1, np.iinfo(np.int64).max)
    firsts[flat[places]] = places
    has_voxels = firsts < flat.size
    inside = np.unravel_index(firsts[has_voxels], part.block.shape)
    voxels = tuple(i + start for i, start in zip(inside, part.block.start, strict=True))
    firsts[has_voxels] = np.ravel_multi_index(voxels, part.volume_shape)
    return firsts
