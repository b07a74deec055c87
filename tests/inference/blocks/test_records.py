from __future__ import annotations

from vesuv.inference.blocks.journal import BlockRecord
from vesuv.inference.blocks.records import rate_line
from vesuv.inference.postprocess.blockwise import Block

BLOCK = Block((0, 0, 0), (0, 0, 0), (100, 100, 100))


def test_the_rate_of_one_block_is_a_plain_number() -> None:
    record = BlockRecord("0", {}, computed=1, empty=3)

    line = rate_line("a", [record], [BLOCK], seconds=2.0)

    assert line == (
        "a: 1 block, 1 window, 3 more without data skipped, 2.0 s, 500,000 voxels a second"
    )
