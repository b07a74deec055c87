"""Blocks of a volume."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from vesuv.errors import InputError
from vesuv.types import Region, Shape


@dataclass(frozen=True)
class Block:
    """One block of a grid."""

    position: Shape
    """Index of the block along z, y, x."""
    start: Shape
    """First voxel."""
    stop: Shape
    """Voxel behind the last one along each axis."""

    @property
    def region(self) -> Region:
        """Voxels of the block."""
        return region(self.start, self.stop)

    @property
    def shape(self) -> Shape:
        """Voxels along each axis."""
        z, y, x = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def __str__(self) -> str:
        return f"block {list(self.start)} to {list(self.stop)}"


@dataclass(frozen=True)
class BlockGrid:
    """Division of a volume into blocks; those at its end may be smaller."""

    shape: Shape
    """Voxels of the volume."""
    block: Shape
    """Voxels of a block."""

    def __post_init__(self) -> None:
        if min(self.block) < 1:
            raise InputError(
                f"block: needs at least one voxel along each axis, found {list(self.block)}"
            )

    @property
    def counts(self) -> Shape:
        """Number of blocks along each axis."""
        z, y, x = (-(-n // edge) for n, edge in zip(self.shape, self.block, strict=True))
        return z, y, x

    def blocks(self) -> list[Block]:
        """Return all blocks, x fastest."""
        return [self._at(z, y, x) for z, y, x in itertools.product(*map(range, self.counts))]

    def index(self, position: Shape) -> int:
        """Return the place of a block in `blocks()`."""
        (z, y, x), (_, height, width) = position, self.counts
        return (z * height + y) * width + x

    def lower_neighbours(self, block: Block) -> Iterator[tuple[Shape, Block]]:
        """Yield the up to seven blocks before a block, each with its distance, 0 or 1 an axis."""
        for dz, dy, dx in itertools.product((0, 1), repeat=3):
            z, y, x = (p - d for p, d in zip(block.position, (dz, dy, dx), strict=True))
            if any((dz, dy, dx)) and min(z, y, x) >= 0:
                yield (dz, dy, dx), self._at(z, y, x)

    def overlapping(self, box: Region) -> Iterator[Block]:
        """Yield the blocks that hold voxels of a box."""
        ranges = (
            range(part.start // edge, -(-part.stop // edge))
            for part, edge in zip(box, self.block, strict=True)
        )
        for z, y, x in itertools.product(*ranges):
            yield self._at(z, y, x)

    def grown(self, block: Block, before: Shape, after: Shape) -> Region:
        """Return a block with more voxels at its low and high sides, clipped to the volume."""
        start = [max(a - h, 0) for a, h in zip(block.start, before, strict=True)]
        stop = [min(b + h, n) for b, h, n in zip(block.stop, after, self.shape, strict=True)]
        return region((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def _at(self, z: int, y: int, x: int) -> Block:
        starts = [p * edge for p, edge in zip((z, y, x), self.block, strict=True)]
        stops = [min(a + b, n) for a, b, n in zip(starts, self.block, self.shape, strict=True)]
        return Block((z, y, x), (starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))


def region(start: Shape, stop: Shape) -> Region:
    """Return the box from `start` to before `stop`."""
    z, y, x = (slice(a, b) for a, b in zip(start, stop, strict=True))
    return z, y, x


def intersection(a: Region, b: Region) -> Region:
    """Return the voxels of two boxes that overlap."""
    pairs = zip(a, b, strict=True)
    z, y, x = (slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in pairs)
    return z, y, x


def within(box: Region, outer: Region) -> Region:
    """Return a box as slices of an array that holds the voxels of `outer`."""
    z, y, x = (slice(a.start - o.start, a.stop - o.start) for a, o in zip(box, outer, strict=True))
    return z, y, x


def box_shape(box: Region) -> Shape:
    """Return the voxels of a box along each axis."""
    z, y, x = (part.stop - part.start for part in box)
    return z, y, x
