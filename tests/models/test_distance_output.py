from __future__ import annotations

import copy

import pytest
import torch

from vesuv.config.model import NetworkConfig
from vesuv.models import build_model
from vesuv.models.distance_output import add_distance_output
from vesuv.models.dynunet import DynUNetConfig
from vesuv.models.heads import coarse_output_layers, initialise_output_bias, output_layer
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.models.residual_encoder_unet import ResidualEncoderUNetConfig
from vesuv.models.segresnet import SegResNetConfig

NETWORKS: list[NetworkConfig] = [
    PlainUNetConfig(filters=4, depth=2),
    PlainUNetConfig(filters=4, depth=2, space_to_depth=(2, 2, 2), out_channels=3),
    PlainUNetConfig(filters=4, depth=3, deep_supervision=True),
    ResidualEncoderUNetConfig(
        features_per_stage=(4, 8, 8, 8), n_blocks_per_stage=(1,) * 4, deep_supervision=True
    ),
    DynUNetConfig(filters=4, depth=2),
    SegResNetConfig(),
]
IMAGE = torch.randn((1, 1, 16, 16, 16), generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=NETWORKS, ids=lambda config: f"{config.name}-{config.out_channels}")
def config(request: pytest.FixtureRequest) -> NetworkConfig:
    section: NetworkConfig = request.param
    return section


def test_the_network_in_evaluation_mode_is_the_same_as_without(config: NetworkConfig) -> None:
    torch.manual_seed(0)
    network = build_model(config)
    twin = copy.deepcopy(network)
    add_distance_output(twin, 2)

    with torch.no_grad():
        assert torch.equal(network.eval()(IMAGE), twin.eval()(IMAGE))
    added = twin.state_dict().keys() - network.state_dict().keys()
    assert {name.rpartition(".")[2] for name in added} == {"distance_weight", "distance_bias"}
    assert network.state_dict().keys() < twin.state_dict().keys()


def test_in_training_distances_follow_the_logits_at_full_resolution(config: NetworkConfig) -> None:
    network = build_model(config).train()
    add_distance_output(network, 2)
    layer = output_layer(network)
    with torch.no_grad():  # the first distance of each voxel is 1, the second 2
        block = len(layer.distance_bias) // 2
        layer.distance_bias.copy_(torch.tensor([1.0] * block + [2.0] * block))

    output = network(IMAGE)
    scales = output if isinstance(output, list) else [output]

    assert scales[0].shape == (1, config.out_channels + 2, 16, 16, 16)
    assert (scales[0][:, -2] == 1.0).all()
    assert (scales[0][:, -1] == 2.0).all()
    assert all(scale.shape[1] == config.out_channels for scale in scales[1:])


def test_the_output_layer_stays_the_one_of_the_logits() -> None:
    network = build_model(PlainUNetConfig(filters=4, depth=3, deep_supervision=True))
    layer, coarse = output_layer(network), coarse_output_layers(network)

    add_distance_output(network, 1)
    initialise_output_bias(network, (0.75, 0.25))

    assert output_layer(network) is layer
    assert coarse_output_layers(network) == coarse
    assert layer.bias is not None
    assert layer.bias.tolist() == pytest.approx([-1.0986], abs=1e-4)  # log(1 / 3)
    assert not layer.distance_bias.any()  # type: ignore[union-attr]


def test_the_distances_train_the_layers_below_them() -> None:
    network = build_model(PlainUNetConfig(filters=4, depth=2)).train()
    add_distance_output(network, 1)
    layer = output_layer(network)

    network(IMAGE)[:, 1].square().sum().add(network(IMAGE)[:, 1].sum()).backward()
    assert layer.distance_weight.grad.any()  # type: ignore[union-attr, operator]
    with torch.no_grad():
        layer.distance_weight.fill_(0.1)  # type: ignore[union-attr, operator]
    network.zero_grad()
    network(IMAGE)[:, 1].square().sum().backward()

    first = next(network.parameters())
    assert first.grad is not None
    assert first.grad.any()
    assert layer.weight.grad is None or not layer.weight.grad.any()


def test_a_copy_of_the_network_has_an_output_of_its_own() -> None:
    network = build_model(PlainUNetConfig(filters=4, depth=2)).train()
    add_distance_output(network, 1)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        output_layer(twin).distance_bias.fill_(3.0)  # type: ignore[union-attr, operator]

    assert (twin(IMAGE)[:, 1] == 3.0).all()
    assert (network(IMAGE)[:, 1] == 0.0).all()
