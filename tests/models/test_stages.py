"""nnU-Net's networks, compared with the classes of dynamic-network-architectures."""

import math
import sys

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.models.heads import initialise_output_bias, output_layer
from vesuv.models.plain_conv_unet import PlainConvUNetConfig
from vesuv.models.residual_encoder_unet import ResidualEncoderUNetConfig
from vesuv.models.stages import StagesConfig

FLAT = {
    "features_per_stage": (4, 6, 8),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
}
PLAIN = PlainConvUNetConfig(**FLAT, n_conv_per_stage=(1, 2, 3), n_conv_per_stage_decoder=(2, 1))
RESIDUAL = ResidualEncoderUNetConfig(
    **FLAT, n_blocks_per_stage=(1, 2, 1), n_conv_per_stage_decoder=(1, 1), out_channels=3
)


def reference(config: StagesConfig) -> nn.Module:
    """Build the network of FLAT as nnU-Net's plans describe it."""
    from dynamic_network_architectures.architectures import unet

    is_plain = isinstance(config, PlainConvUNetConfig)
    own = {"n_conv_per_stage": [1, 2, 3]} if is_plain else {"n_blocks_per_stage": [1, 2, 1]}
    network: nn.Module = (unet.PlainConvUNet if is_plain else unet.ResidualEncoderUNet)(
        input_channels=1,
        num_classes=config.out_channels,
        n_stages=3,
        features_per_stage=[4, 6, 8],
        conv_op=nn.Conv3d,
        kernel_sizes=[[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        n_conv_per_stage_decoder=[2, 1] if is_plain else [1, 1],
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        **own,
    )
    return network


@pytest.mark.parametrize("config", [PLAIN, RESIDUAL], ids=lambda config: config.name)
def test_logits_are_those_of_nnunets_class_with_the_same_weights(config: StagesConfig) -> None:
    theirs, ours = reference(config).eval(), build_model(config).eval()
    image = torch.randn(2, 1, 4, 8, 12)

    ours.load_state_dict({name: theirs.state_dict()[name] for name in ours.state_dict()})

    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


@pytest.mark.parametrize("config", [PLAIN, RESIDUAL], ids=lambda config: config.name)
def test_each_weight_has_one_name_and_takes_part_in_the_gradient(config: StagesConfig) -> None:
    network = build_model(config)

    network(torch.randn(1, 1, 4, 8, 8)).sum().backward()

    state, parameters = network.state_dict(), dict(network.named_parameters())
    assert list(state) == list(parameters)
    assert len({value.data_ptr() for value in state.values()}) == len(state)
    assert [name for name, value in parameters.items() if value.grad is None] == []


def test_the_plans_of_nnunet_are_the_defaults() -> None:
    """ResEnc-L has 102.4 million parameters; its count of features is that of nnU-Net's planner,
    which counts the outputs of deep supervision for three classes."""
    with torch.device("meta"):
        residual = build_model(ResidualEncoderUNetConfig(out_channels=3))
        plain = build_model(PlainConvUNetConfig(out_channels=2))
    residual.decoder.deep_supervision = True  # type: ignore[union-attr]

    assert sum(p.numel() for p in residual.parameters()) == pytest.approx(102.4e6, rel=1e-3)
    assert residual.compute_conv_feature_map_size((128, 128, 128)) == 558_319_104
    assert sum(p.numel() for p in plain.parameters()) == pytest.approx(31.2e6, rel=1e-3)


def test_halvings_follow_from_the_strides() -> None:
    assert PLAIN.halvings == (1, 2, 2)
    assert ResidualEncoderUNetConfig(features_per_stage=(4, 8, 8, 8)).halvings == (3, 3, 3)


@pytest.mark.parametrize("config", [PLAIN, RESIDUAL], ids=lambda config: config.name)
def test_the_output_bias_starts_at_the_fraction_of_the_classes(config: StagesConfig) -> None:
    network = build_model(config)
    fractions = [0.9, 0.1] if config.out_channels == 1 else [0.7, 0.2, 0.1]

    initialise_output_bias(network, fractions)

    layer = output_layer(network)
    expected = [math.log(0.1 / 0.9)] if len(fractions) == 2 else [math.log(f) for f in fractions]
    assert layer.in_channels == 4
    assert layer.bias is not None
    assert layer.bias.tolist() == pytest.approx(expected)


def test_residual_blocks_start_as_the_identity() -> None:
    """nnU-Net sets the last norm of each block to 0."""
    network = build_model(RESIDUAL)

    weights = [
        value
        for name, value in network.named_parameters()
        if "conv2.all_modules.1" in name and name.startswith("encoder.stages")
    ]

    assert len(weights) == 2 * 4
    assert all(not value.any() for value in weights)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strides", ((1, 1, 1), (2, 2, 2))),
        ("kernel_sizes", ((3, 3, 3),) * 4),
        ("n_conv_per_stage_decoder", (2, 2, 2)),
        ("n_conv_per_stage", (2, 2)),
    ],
)
def test_a_list_needs_one_entry_for_each_stage(key: str, value: object) -> None:
    expected = 2 if key.endswith("decoder") else 3

    with pytest.raises(ValidationError, match=rf"{key} needs {expected} entries for 3 features"):
        PlainConvUNetConfig.model_validate({"features_per_stage": (4, 6, 8), key: value})


def test_without_the_package_a_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("dynamic_network_architectures"):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "dynamic_network_architectures", None)

    with pytest.raises(InputError, match=r"plain_conv_unet needs the package .*vesuv\[nnunet\]"):
        build_model(PLAIN)
