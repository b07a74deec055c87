"""Every network, by the name that a configuration gives it."""

import pytest
import torch

from vesuv.config.model import NETWORKS as REGISTRY
from vesuv.config.model import NetworkConfig
from vesuv.config.registry import RegistryField
from vesuv.models import build_model

SECTION = RegistryField(REGISTRY)
NETWORKS = {
    "plain_unet": {"filters": 2, "depth": 1},
    "dynunet": {"filters": 2, "depth": 2},
    "segresnet": {"filters": 8},
    "mednext": {},
    "plain_conv_unet": {"features_per_stage": (2, 4)},
    "residual_encoder_unet": {"features_per_stage": (2, 4)},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_takes_part_in_the_gradient(name: str) -> None:
    """DistributedDataParallel would wait for one that does not."""
    model: NetworkConfig = SECTION.validate({"name": name, **NETWORKS[name]})
    network = build_model(model)

    network(torch.randn(1, 1, 32, 32, 32)).sum().backward()

    assert [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None] == []
