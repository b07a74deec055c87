import pytest
import torch

from vesuv.data.labels import IGNORE
from vesuv.transforms.collate import Batch
from vesuv.transforms.masking import block_mask, masked_batch


def test_three_of_four_blocks_are_masked_each_as_a_whole() -> None:
    mask = block_mask((8, 8, 8), 4, 0.75, (0,))

    blocks = mask.reshape(2, 4, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(8, 64)
    assert sorted(blocks.sum(dim=1).tolist()) == [0, 0, 64, 64, 64, 64, 64, 64]


def test_the_last_block_of_an_axis_may_be_cut() -> None:
    mask = block_mask((5, 4, 4), 4, 0.5, (1,))

    assert mask.shape == (5, 4, 4)
    assert sorted([bool(mask[0, 0, 0]), bool(mask[4, 0, 0])]) == [False, True]


def test_a_block_is_masked_where_the_share_is_less_than_one() -> None:
    assert block_mask((8, 8, 8), 8, 0.1, (0,)).all()


def test_masks_depend_on_their_key_alone() -> None:
    masks = [block_mask((32, 32, 32), 4, 0.75, key) for key in ((0, 1), (0, 1), (0, 2))]

    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_masked_voxels_are_zero_and_count_only_inside_the_volume() -> None:
    image = torch.full((1, 2, 1, 1, 4), 3.0)
    label = torch.tensor([[[[1, 1, 1, IGNORE]]]], dtype=torch.uint8)
    mask = torch.tensor([[[[True, False, True, True]]]])

    batch = masked_batch(Batch(image, label, ("a",)), mask)

    assert batch.image[0, :, 0, 0].tolist() == [[0.0, 3.0, 0.0, 0.0]] * 2
    assert batch.target is image and image.min() == 3.0
    assert batch.mask[0, 0, 0].tolist() == [True, False, True, False]


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_the_share_is_that_of_the_blocks(share: float) -> None:
    assert block_mask((64, 64, 64), 8, share, (3,)).float().mean().item() == share
