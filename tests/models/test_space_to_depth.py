import itertools
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from tests.conftest import tiny_tree
from vesuv.config import check
from vesuv.errors import InputErrors
from vesuv.models.heads import activate, initialise_output_bias
from vesuv.models.plain_unet import PlainUNet, PlainUNetConfig, fold_blocks, unfold_blocks


def test_folding_puts_the_voxels_of_a_block_into_channels_in_z_y_x_order() -> None:
    volume = torch.arange(2 * 4 * 2 * 6.0).reshape(1, 2, 4, 2, 6)

    folded = fold_blocks(volume, (2, 1, 2))

    assert folded.shape == (1, 8, 2, 2, 3)
    for channel, (c, dz, dx) in enumerate(itertools.product(range(2), range(2), range(2))):
        assert torch.equal(folded[0, channel], volume[0, c, dz::2, :, dx::2])


@pytest.mark.parametrize("block", [(1, 1, 1), (2, 2, 2), (1, 2, 2)])
def test_unfolding_undoes_folding(block: tuple[int, int, int]) -> None:
    volume = torch.randn(2, 3, 4, 6, 8)

    assert torch.equal(unfold_blocks(fold_blocks(volume, block), block), volume)


def test_a_network_on_blocks_has_one_logit_a_voxel_and_parameters_by_hand() -> None:
    network = PlainUNetConfig(filters=32, depth=3, space_to_depth=(2, 2, 2)).build()
    full = PlainUNetConfig(filters=32, depth=3).build()

    assert network(torch.randn(1, 1, 32, 32, 32)).shape == (1, 1, 32, 32, 32)
    count = sum(parameter.numel() for parameter in network.parameters())
    # seven more input channels of the first convolution, seven more outputs of the last
    more = 7 * 27 * 32 + 7 * (32 + 1)
    assert count == sum(parameter.numel() for parameter in full.parameters()) + more


def test_the_logits_of_a_block_stand_at_its_own_voxels() -> None:
    network = PlainUNet(1, 1, filters=2, depth=1, space_to_depth=(2, 2, 2))
    with torch.no_grad():
        network.output.weight.zero_()
        assert network.output.bias is not None
        network.output.bias.copy_(torch.arange(8.0))

    logits = network(torch.randn(1, 1, 8, 8, 8))

    for number, (dz, dy, dx) in enumerate(itertools.product(range(2), repeat=3)):
        assert bool((logits[0, 0, dz::2, dy::2, dx::2] == number).all())


@pytest.mark.parametrize(("out_channels", "fractions"), [(1, (0.9, 0.1)), (3, (0.7, 0.2, 0.1))])
def test_the_initial_prediction_has_the_class_fractions(
    out_channels: int, fractions: tuple[float, ...]
) -> None:
    network = PlainUNet(1, out_channels, filters=2, depth=1, space_to_depth=(2, 2, 2))
    initialise_output_bias(network, fractions)
    with torch.no_grad():
        network.output.weight.zero_()

    probs = activate(network(torch.randn(1, 1, 4, 4, 4)))

    expected = fractions[1:] if out_channels == 1 else fractions
    for channel, fraction in enumerate(expected):
        assert torch.allclose(probs[:, channel], torch.tensor(fraction))


def test_a_block_counts_as_a_halving_of_the_patch() -> None:
    tree = tiny_tree(Path("data"), Path("store"))
    tree["model"] |= {"space_to_depth": [1, 2, 2]}
    tree["sampling"] |= {"patch_size": [4, 4, 12]}

    assert PlainUNetConfig(filters=2, depth=2, space_to_depth=(1, 2, 2)).halvings == (2, 3, 3)
    with pytest.raises(InputErrors, match=r"multiple of \[4, 8, 8\] for this network"):
        check(tree, "tiny.yaml")


def test_blocks_longer_than_two_are_refused() -> None:
    with pytest.raises(ValidationError, match="space_to_depth"):
        PlainUNetConfig(space_to_depth=(4, 2, 2))  # type: ignore[arg-type]
