import torch

from vesuv.data.labels import IGNORE
from vesuv.transforms.collate import collate


def test_smaller_patches_are_padded_and_their_padding_ignored() -> None:
    small = torch.ones(1, 2, 3, 1), torch.ones(2, 3, 1, dtype=torch.uint8)
    large = torch.ones(1, 1, 4, 2), torch.zeros(1, 4, 2, dtype=torch.uint8)

    batch = collate([small, large], ("small", "large"))

    assert batch.image.shape == (2, 1, 2, 4, 2)
    assert batch.cases == ("small", "large")
    assert batch.image[0].sum() == 6
    assert (batch.label[0] == 1).sum() == 6
    assert (batch.label[0] == IGNORE).sum() == 10
    assert batch.label[1, 0].eq(0).all()
    assert batch.label[1, 1].eq(IGNORE).all()
