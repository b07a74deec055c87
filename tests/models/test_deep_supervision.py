"""Networks that predict at several scales while they are trained."""

import copy
import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from vesuv.config.model import NetworkConfig
from vesuv.models import build_model
from vesuv.models.heads import coarse_output_layers, initialise_output_bias, output_layer
from vesuv.models.plain_conv_unet import PlainConvUNetConfig
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.models.residual_encoder_unet import ResidualEncoderUNetConfig

STAGES: dict[str, Any] = {"features_per_stage": (2, 3, 4, 5, 6), "deep_supervision": True}
PLAIN = PlainUNetConfig(filters=2, depth=4, deep_supervision=True)
NETWORKS = [
    PLAIN,
    PlainConvUNetConfig(**STAGES, out_channels=3),
    ResidualEncoderUNetConfig(**STAGES, n_blocks_per_stage=(1,) * 5),
]
EDGE = 32


def image() -> Tensor:
    return torch.randn(1, 1, EDGE, EDGE, EDGE, generator=torch.Generator().manual_seed(0))


def built(config: NetworkConfig) -> nn.Module:
    torch.manual_seed(0)
    return build_model(config)


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.name)
def test_in_training_all_scales_but_the_lowest_are_returned_finest_first(
    config: NetworkConfig,
) -> None:
    network = built(config)

    with torch.no_grad():
        scales = network.train()(image())
        prediction = network.eval()(image())

    edges = [EDGE, EDGE // 2, EDGE // 4]
    assert [tuple(s.shape) for s in scales] == [(1, config.out_channels, *[e] * 3) for e in edges]
    assert torch.allclose(prediction, scales[0], atol=1e-5)


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.name)
def test_a_prediction_is_that_of_the_network_without_coarse_outputs(config: NetworkConfig) -> None:
    network, without = (
        built(config),
        build_model(config.model_copy(update={"deep_supervision": False})),
    )
    weights = without.state_dict()

    without.load_state_dict({name: network.state_dict()[name] for name in weights})

    assert len(network.state_dict()) == len(weights) + 2 * 2  # weight and bias of two layers
    with torch.no_grad():
        assert torch.equal(network.eval()(image()), without.eval()(image()))


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.name)
def test_every_weight_takes_part_in_the_gradient_also_of_a_copy(config: NetworkConfig) -> None:
    network = copy.deepcopy(built(config))

    torch.autograd.backward([logits.sum() for logits in network(image())])

    assert [name for name, value in network.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.name)
def test_the_bias_of_every_scale_starts_at_the_fractions_of_the_classes(
    config: NetworkConfig,
) -> None:
    network = build_model(config)
    fractions = [0.9, 0.1] if config.out_channels == 1 else [0.7, 0.2, 0.1]
    expected = [math.log(0.1 / 0.9)] if len(fractions) == 2 else [math.log(f) for f in fractions]

    initialise_output_bias(network, fractions)

    layers = [output_layer(network), *coarse_output_layers(network)]
    assert len(layers) == 3
    for layer in layers:
        assert layer.bias is not None
        assert layer.bias.tolist() == pytest.approx(expected)


def test_logits_are_those_of_nnunets_class_with_deep_supervision() -> None:
    from dynamic_network_architectures.architectures import unet

    theirs = unet.ResidualEncoderUNet(
        input_channels=1,
        num_classes=1,
        n_stages=5,
        features_per_stage=[2, 3, 4, 5, 6],
        conv_op=nn.Conv3d,
        kernel_sizes=[[3, 3, 3]] * 5,
        strides=[[1, 1, 1], *[[2, 2, 2]] * 4],
        n_blocks_per_stage=[1] * 5,
        n_conv_per_stage_decoder=[1] * 4,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )
    ours = build_model(NETWORKS[2])

    ours.load_state_dict({name: theirs.state_dict()[name] for name in ours.state_dict()})

    with torch.no_grad():
        expected = theirs(image())[:-1]
        assert all(torch.equal(a, b) for a, b in zip(ours(image()), expected, strict=True))


def test_blocks_of_voxels_keep_their_resolution_at_each_scale() -> None:
    config = PlainUNetConfig(filters=2, depth=3, deep_supervision=True, space_to_depth=(1, 2, 2))

    scales = build_model(config)(torch.randn(1, 1, 16, 32, 32))

    assert [tuple(logits.shape[2:]) for logits in scales] == [(16, 32, 32), (8, 16, 16)]


def test_a_network_without_a_level_between_finest_and_lowest_is_refused() -> None:
    with pytest.raises(ValidationError, match="found depth 2; set depth to 3 or more"):
        PlainUNetConfig(depth=2, deep_supervision=True)
    with pytest.raises(ValidationError, match="found 3 features_per_stage; set 4 or more"):
        PlainConvUNetConfig(features_per_stage=(2, 3, 4), deep_supervision=True)
