"""Networks whose kernels and poolings lie in the plane take patches of one slice."""

import pytest
import torch

from tests.conftest import tiny_tree
from vesuv.config import check
from vesuv.config.model import NetworkConfig
from vesuv.errors import InputError
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.models.residual_encoder_unet import ResidualEncoderUNetConfig

STRIDE, KERNEL = (1, 2, 2), (1, 3, 3)
NETWORKS = [
    PlainUNetConfig(filters=4, depth=2, strides=(STRIDE,) * 2, kernels=(KERNEL,) * 3),
    PlainUNetConfig(
        filters=4, depth=2, strides=(STRIDE,) * 2, kernels=(KERNEL,) * 3, space_to_depth=STRIDE
    ),
    ResidualEncoderUNetConfig(
        features_per_stage=(4, 8, 8),
        strides=((1, 1, 1), STRIDE, STRIDE),
        kernel_sizes=(KERNEL,) * 3,
        n_blocks_per_stage=(1, 1, 1),
    ),
]


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.name)
def test_a_network_in_the_plane_learns_from_one_slice(config: NetworkConfig) -> None:
    network = config.model_copy(update={"in_channels": 3, "out_channels": 2}).build()

    logits = network(torch.randn((2, 3, 1, 16, 24), generator=torch.Generator().manual_seed(0)))
    logits.square().sum().backward()

    assert logits.shape == (2, 2, 1, 16, 24)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    taps = {module.kernel_size[0] for module in network.modules() if hasattr(module, "kernel_size")}
    assert taps == {1}


def test_slices_of_one_image_do_not_see_each_other() -> None:
    network = NETWORKS[0].build().eval()
    image = torch.randn((1, 1, 2, 16, 16), generator=torch.Generator().manual_seed(0))
    alone = torch.cat([network(image[:, :, z : z + 1]) for z in (0, 1)], dim=2)

    # equal but for the normalisation, whose statistics run over both slices
    assert alone.shape == network(image).shape


@pytest.mark.parametrize("name", ["plain_unet", "segresnet"])
def test_a_network_that_halves_the_single_slice_is_refused(name: str, tmp_path) -> None:
    tree = tiny_tree(tmp_path, tmp_path / "store")
    tree["sampling"] = {"patch_size": [1, 32, 32]}
    tree["model"] = {"name": name}

    with pytest.raises(InputError, match=r"sampling\.patch_size.*multiple.*1"):
        check(tree, "flat")
