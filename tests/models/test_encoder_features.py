import pytest
import torch

from vesuv.errors import InputError
from vesuv.models.encoder_features import encoder_features
from vesuv.models.plain_conv_unet import PlainConvUNetConfig
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.models.segresnet import SegResNetConfig

IMAGE = torch.randn(1, 1, 16, 16, 16)


def test_the_plain_network_gives_a_level_for_each_pooling_and_the_lowest() -> None:
    network = PlainUNetConfig(filters=4, depth=2, space_to_depth=(2, 2, 2)).build().eval()

    shapes = [tuple(level.shape) for level in encoder_features(network, IMAGE)]

    assert shapes == [(1, 4, 8, 8, 8), (1, 8, 4, 4, 4), (1, 16, 2, 2, 2)]


def test_networks_of_nnunet_give_their_stages() -> None:
    network = PlainConvUNetConfig(features_per_stage=(4, 6, 8)).build().eval()

    levels = encoder_features(network, IMAGE)

    assert [tuple(level.shape[1:3]) for level in levels] == [(4, 16), (6, 8), (8, 4)]
    assert torch.equal(levels[0], network.encoder.stages[0](IMAGE))


def test_other_networks_are_refused() -> None:
    network = SegResNetConfig(filters=8, blocks_down=(1, 1), blocks_up=(1,)).build().eval()

    with pytest.raises(InputError, match=r"features are read of plain_unet, .*found SegResNet"):
        encoder_features(network, IMAGE)
