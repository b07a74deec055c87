import pytest
import torch

from vesuv.config.model import NetworkConfig
from vesuv.models import build_model
from vesuv.models.dynunet import DynUNetConfig
from vesuv.models.mednext import MedNeXtConfig
from vesuv.models.segresnet import SegResNetConfig

SMALL: list[NetworkConfig] = [
    DynUNetConfig(name="dynunet", filters=4, depth=2, out_channels=3),
    SegResNetConfig(name="segresnet", filters=8, blocks_down=(1, 1), blocks_up=(1,), in_channels=2),
    MedNeXtConfig(name="mednext", out_channels=2),
]


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.name)
def test_monai_networks_return_logits_of_the_patchs_shape(config: NetworkConfig) -> None:
    network = build_model(config).train()

    logits = network(torch.randn(1, config.in_channels, 32, 32, 32))

    assert logits.shape == (1, config.out_channels, 32, 32, 32)
    assert torch.isfinite(logits).all()


def test_dynunet_doubles_its_filters_up_to_320() -> None:
    network = build_model(DynUNetConfig(name="dynunet", filters=64, depth=3))

    widths = [network.input_block.conv1.conv.out_channels] + [
        block.conv1.conv.out_channels for block in [*network.downsamples, network.bottleneck]
    ]

    assert widths == [64, 128, 256, 320]


def test_segresnet_takes_its_blocks_from_the_configuration() -> None:
    network = build_model(
        SegResNetConfig(name="segresnet", filters=8, blocks_down=(1, 2, 3), blocks_up=(1, 2))
    )

    assert [len(layers) - 1 for layers in network.down_layers] == [1, 2, 3]
    assert [len(layers) for layers in network.up_layers] == [1, 2]
