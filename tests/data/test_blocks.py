import numpy as np

from vesuv.data.blocks import count_blocks
from vesuv.data.labels import IGNORE

RNG = np.random.default_rng(0)
LABEL = RNG.choice(np.array([0, 1, 2, IGNORE], np.uint8), (20, 33, 16))


def test_blocks_count_each_class_and_all_valid_voxels() -> None:
    counts = count_blocks(LABEL, 3)

    assert counts.shape == (4, 2, 3, 1)
    for z in range(2):
        for y in range(3):
            block = LABEL[16 * z : 16 * z + 16, 16 * y : 16 * y + 16]
            expected = [int((block == index).sum()) for index in range(3)]
            assert counts[:, z, y, 0].tolist() == [*expected, sum(expected)]


def test_a_full_block_does_not_overflow() -> None:
    assert count_blocks(np.ones((16, 16, 16), np.uint8), 2).ravel().tolist() == [0, 4096, 4096]
