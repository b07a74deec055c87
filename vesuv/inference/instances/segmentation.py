"""Instances of a volume of any size, block by block.

Every volume is divided into the same blocks, whether it is in memory or not, so that the results
are equal to the bit. Four passes:

1. Each block, grown by a halo, is divided into fragments; those of the block itself are kept. A
   fragment ends at the border of the block.
2. The faces between fragments are measured, within blocks and across their borders. Two halves of a
   fragment that a border has cut touch where the boundary probability is low.
3. The fragments of all blocks are agglomerated at once, so that such halves are united first.
4. Instances are read box by box: those of the fragments.

A volume that is not larger than a block has no borders. The tables of the third pass are in memory:
they grow with the number of fragments and not with that of voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vesuv.errors import InputError
from vesuv.inference.instances.agglomeration import Sizes, agglomerate, united_sizes
from vesuv.inference.instances.fragment_store import FragmentStore, MemoryFragments
from vesuv.inference.instances.fragments import BlockMethod
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.region_graph import (
    Contacts,
    Names,
    join_contacts,
    measure_contacts,
)
from vesuv.inference.postprocess.blockwise import Block, BlockGrid, MapFunction
from vesuv.inference.postprocess.blockwise.grid import box_shape, intersection, within
from vesuv.inference.postprocess.blockwise.run import map_here
from vesuv.types import Array, Region, Shape, ShowProgress, no_shown_progress

INSTANCE_BLOCK = 256
"""Edge of a block: a smaller one takes less memory, and cuts more fragments."""
HALO = 32
"""Voxels that a block is grown by on each side."""
_FRAGMENTS, _LEVELS = "fragments", "levels"
"""What is saved of a block."""


class BoundaryLevels(Protocol):
    """Levels of the probability of boundary or foreground (z, y, x), read box by box."""

    @property
    def shape(self) -> Shape: ...

    def read(self, box: Region) -> Array:
        """Return the levels of a box, uint8."""
        ...


@dataclass(frozen=True)
class Fragmentation:
    """Fragments of a volume; each block has names of its own."""

    sizes: Sizes
    """Voxels of each fragment; name 0 is none."""
    contacts: Contacts
    first_names: Sizes
    """Name of the first fragment of each block."""
    names: Names
    """Name of each fragment after parts with one seed were united; only these have sizes."""


@dataclass(frozen=True)
class InstanceRun:
    """What the passes over the blocks of one volume share.

    Args:
        levels: Levels of the boundary, or of the foreground.
        method: How a block is divided into fragments.
        store: Where fragments are kept between the passes.
        block_size: Edge of a block.
        map_blocks: Runs one pass; with several processes, all of this is sent to them.
        show_progress: Shows the progress of each pass.
    """

    levels: BoundaryLevels
    method: BlockMethod
    store: FragmentStore = field(default_factory=MemoryFragments)
    block_size: int = INSTANCE_BLOCK
    map_blocks: MapFunction = map_here
    show_progress: ShowProgress = no_shown_progress

    @property
    def grid(self) -> BlockGrid:
        return BlockGrid(self.levels.shape, (self.block_size,) * 3)


@dataclass(frozen=True)
class _BlockSource:
    """What one block is computed from, in any process."""

    levels: BoundaryLevels
    method: BlockMethod
    store: FragmentStore
    grid: BlockGrid

    def saved(self, box: Region, kind: str, first_names: Sizes | None = None) -> Array:
        """Return a box of what blocks have saved; of fragments with their names in the volume."""
        array = np.zeros(box_shape(box), np.uint8 if first_names is None else np.int64)
        for part in self.grid.overlapping(box):
            number = self.grid.index(part.position)
            common = intersection(part.region, box)
            own = self.store.load(f"{kind}_{number}")[within(common, part.region)]
            array[within(common, box)] = (
                own if first_names is None else in_volume(own, first_names[number])
            )
        return array


def in_volume(fragments: Array, first_name: int) -> Array:
    """Return the names in the volume of a block's fragments; 0 stays 0."""
    return np.where(fragments > 0, fragments.astype(np.int64) + (first_name - 1), 0)


def find_fragments(run: InstanceRun) -> Fragmentation:
    """Divide a volume into fragments, and measure where they touch.

    Raises:
        InputError: The extra is not installed, no voxel is inside, or there is no boundary at all.
    """
    source = _BlockSource(run.levels, run.method, run.store, run.grid)
    blocks = run.grid.blocks()
    sizes: list[Sizes] = [np.zeros(0, np.int64)] * len(blocks)
    seeds: list[Sizes] = [np.zeros(0, np.int64)] * len(blocks)
    num_inside, highest = 0, 0
    with run.show_progress("fragments", "blocks") as progress:
        for count, (block, found) in enumerate(
            run.map_blocks(partial(_find_in_block, source), blocks), start=1
        ):
            number = run.grid.index(block.position)
            sizes[number], seeds[number] = found.sizes, found.seeds
            num_inside, highest = num_inside + found.num_inside, max(highest, found.highest)
            progress(count, len(blocks))
    if run.method.parameters.foreground_threshold is None:
        _check_boundary(num_inside, highest, run.method.parameters)
    counts = [len(one) for one in sizes]
    first_names = 1 + np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    contacts: list[Contacts] = []
    with run.show_progress("contacts", "blocks") as progress:
        measure = partial(_measure_block, source, first_names)
        for count, (_, part) in enumerate(run.map_blocks(measure, blocks), start=1):
            contacts.append(part)
            progress(count, len(blocks))
    all_sizes = np.concatenate([np.zeros(1, np.int64), *sizes])
    names = _with_one_name_a_seed(np.concatenate(seeds), len(all_sizes))
    all_contacts = join_contacts(contacts).renamed(names)
    return Fragmentation(united_sizes(names, all_sizes), all_contacts, first_names[:-1], names)


def _with_one_name_a_seed(seeds: Sizes, num: int) -> Names:
    """Return a name of each fragment 0, 1, … below `num`: of those with one seed the first."""
    names = np.arange(num)
    if len(seeds):
        _, first, places = np.unique(seeds, return_index=True, return_inverse=True)
        names[1:] = 1 + first[places]
    return names


@dataclass(frozen=True)
class Instances:
    """Instances of a volume, read box by box from its fragments."""

    store: FragmentStore
    grid: BlockGrid
    names: NDArray[np.uint32]
    """Instance of each fragment of the volume; name 0 is none."""
    first_names: Sizes

    @property
    def num(self) -> int:
        """Number of instances."""
        return int(self.names.max())

    def read(self, box: Region) -> NDArray[np.uint32]:
        """Return the instance 1, 2, … of each voxel of a box."""
        instances = np.empty(box_shape(box), np.uint32)
        for block in self.grid.overlapping(box):
            number = self.grid.index(block.position)
            common = intersection(block.region, box)
            fragments = self.store.load(f"{_FRAGMENTS}_{number}")[within(common, block.region)]
            own = in_volume(fragments, self.first_names[number])
            instances[within(common, box)] = self.names[own]
        return instances


def find_instances(run: InstanceRun) -> Instances:
    """Segment a volume into instances.

    Raises:
        InputError: See `find_fragments`.
    """
    fragmentation = find_fragments(run)
    contacts, sizes = fragmentation.contacts, fragmentation.sizes
    names = agglomerate(contacts, sizes, run.method.parameters).astype(np.uint32)
    names = names[fragmentation.names]
    return Instances(run.store, run.grid, names, fragmentation.first_names)


def stored_fragments(run: InstanceRun, fragmentation: Fragmentation) -> Array:
    """Return the fragments of a volume that fits into memory, (z, y, x)."""
    source = _BlockSource(run.levels, run.method, run.store, run.grid)
    z, y, x = (slice(0, edge) for edge in run.grid.shape)
    volume: Array = source.saved((z, y, x), _FRAGMENTS, fragmentation.first_names)
    return fragmentation.names[volume]


@dataclass(frozen=True)
class _BlockFragments:
    """Fragments of a block."""

    sizes: Sizes
    seeds: Sizes
    """Place of the seed of each fragment in the volume; empty where blocks have their own seeds."""
    num_inside: int
    highest: int
    """Highest level of the block."""


def _find_in_block(source: _BlockSource, block: Block) -> _BlockFragments:
    halo = (HALO, HALO, HALO)
    box = source.grid.grown(block, halo, halo)
    levels = source.levels.read(box)
    part = within(block.region, box)
    divided = source.method.divide(levels)
    own = divided.labels[part]
    names = np.unique(own[own > 0])
    fragments = np.where(own > 0, 1 + np.searchsorted(names, own), 0).astype(np.int32)
    number = source.grid.index(block.position)
    source.store.save(f"{_FRAGMENTS}_{number}", fragments)
    if divided.contact_levels is not None:
        source.store.save(f"{_LEVELS}_{number}", divided.contact_levels[part])
    sizes = np.bincount(fragments.ravel(), minlength=len(names) + 1)[1:].astype(np.int64)
    seeds = np.zeros(0, np.int64)
    if divided.seeds is not None:
        places = np.unravel_index(divided.seeds[names - 1], levels.shape)
        in_grid = [place + axis.start for place, axis in zip(places, box, strict=True)]
        seeds = np.ravel_multi_index(in_grid, source.grid.shape).astype(np.int64)
    num_inside = int(np.count_nonzero(source.method.is_inside(levels[part])))
    return _BlockFragments(sizes, seeds, num_inside, int(levels[part].max()))


def _measure_block(source: _BlockSource, first_names: Sizes, block: Block) -> Contacts:
    """Measure the contacts within a block and across its low sides."""
    box = source.grid.grown(block, (1, 1, 1), (0, 0, 0))
    fragments = source.saved(box, _FRAGMENTS, first_names)
    is_of_objects = source.method.parameters.foreground_threshold is not None
    levels = source.saved(box, _LEVELS) if is_of_objects else source.levels.read(box)
    z, y, x = (int(start > 0) for start in block.start)
    return measure_contacts(fragments, levels, (z, y, x))


def _check_boundary(num_inside: int, highest: int, parameters: InstanceParameters) -> None:
    """Refuse probabilities from which no instances can be made."""
    if num_inside == 0:
        raise InputError(
            "some voxels must have a boundary probability below the seed threshold "
            f"{parameters.seed_threshold:g}, found none: all of it is boundary; check that "
            "the probability is that of the boundary"
        )
    if highest == 0:
        raise InputError(
            "some voxels must have a boundary probability above 0, found none: nothing separates "
            "instances; check the probability"
        )
