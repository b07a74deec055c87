"""Records of finished blocks: which of them hold what was written, and how fast they were."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vesuv.inference.blocks.journal import BlockRecord, Journal
from vesuv.inference.blocks.work import BlockWork
from vesuv.inference.postprocess.blockwise import Block
from vesuv.io.printable import number_of
from vesuv.types import Say


def checked_records(
    work: BlockWork, journal: Journal, blocks: Sequence[Block], say: Say
) -> dict[str, BlockRecord]:
    """Return the finished blocks whose shards are those that were written; forget the others."""
    records = journal.records(blocks)
    if not records:
        return records
    arrays = {name: work.output.array(name) for name in work.arrays}
    for name, record in list(records.items()):
        if not all(arrays[key].holds(digests) for key, digests in record.digests.items()):
            say(f"block {name}: its files have changed since; predicted again")
            journal.remove(records.pop(name))
    return records


def rate_line(
    name: str, records: Sequence[BlockRecord], blocks: Sequence[Block], seconds: float
) -> str:
    """Return the line for the user about the blocks of one call.

    Args:
        name: The volume.
        records: Blocks that were written.
        blocks: The same blocks.
        seconds: Time that they took.
    """
    voxels = sum(math.prod(block.shape) for block in blocks)
    computed = sum(record.computed for record in records)
    empty = sum(record.empty for record in records)
    return (
        f"{name}: {number_of(len(records), 'block')}, {number_of(computed, 'window')}, {empty} "
        f"more without data skipped, {seconds:.1f} s, {voxels / seconds:,.0f} voxels a second"
    )
