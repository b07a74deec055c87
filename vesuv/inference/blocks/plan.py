"""Division of a volume into blocks, each of whole shards of the output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vesuv.errors import InputError
from vesuv.inference.postprocess.blockwise import Block, BlockGrid
from vesuv.types import Shape

BLOCK_EDGE = 512
"""Edge of a block where the user gives none."""
_SHARD_EDGE = 256
_CHUNK_EDGE = 64
_SMALLEST = 16


@dataclass(frozen=True)
class BlockPlan:
    """Blocks, shards and chunks of the output.

    Args:
        shape: Voxels of the volume.
        block: Edge of a block; a multiple of `shard`.
        shard: Edge of a shard, one file of the output; a multiple of `chunk`.
        chunk: Edge of a chunk, which readers decode as a whole.
    """

    shape: Shape
    block: int
    shard: int
    chunk: int

    @classmethod
    def of(cls, shape: Shape, edge: int = BLOCK_EDGE) -> BlockPlan:
        """Return the blocks of this edge.

        Raises:
            InputError: The edge is not a multiple of 16.
        """
        check_edge(edge)
        shard = next(edge // n for n in range(1, edge + 1) if _fits(edge, n, _SHARD_EDGE))
        chunk = next(shard // n for n in range(1, shard + 1) if _fits(shard, n, _CHUNK_EDGE))
        return cls(shape, edge, shard, chunk)

    @property
    def grid(self) -> BlockGrid:
        return BlockGrid(self.shape, (self.block,) * 3)

    @property
    def blocks(self) -> list[Block]:
        return self.grid.blocks()

    @property
    def num_blocks(self) -> int:
        return math.prod(self.grid.counts)


def check_edge(edge: int) -> None:
    """Check the edge of blocks.

    Raises:
        InputError: It is not a multiple of 16.
    """
    if edge < _SMALLEST or edge % _SMALLEST:
        raise InputError(
            f"--block-size: must be a multiple of {_SMALLEST}, found {edge}; {BLOCK_EDGE} is usual"
        )


def block_name(block: Block) -> str:
    """Return the position of a block as a name, as in "0.12.3"."""
    return ".".join(map(str, block.position))


@dataclass(frozen=True)
class Part:
    """Share of the blocks of one run, as in "2/8"; without a number all of them."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read "i/n".

        Raises:
            InputError: It is not that, or i is not from 1 to n.
        """
        number, _, count = text.partition("/")
        is_part = number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)
        if not is_part:
            raise InputError(f"--part: must be i/n with i from 1 to n, found {text!r}; 1/8 is one")
        return cls(int(number), int(count))

    def of(self, blocks: Sequence[Block]) -> list[Block]:
        """Return every n-th block, so that all parts have blocks of every region."""
        return list(blocks[self.number - 1 :: self.count])


def _fits(edge: int, parts: int, most: int) -> bool:
    return edge % parts == 0 and edge // parts <= most and (edge // parts) % _SMALLEST == 0
