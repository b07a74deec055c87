"""The convolution of features and image before the output of the plain U-Net."""

from __future__ import annotations

import pytest
import torch

from vesuv.models.heads import activate, initialise_output_bias, output_layer
from vesuv.models.plain_unet import PlainUNet, PlainUNetConfig
from vesuv.training.muon import is_matrix


def test_it_has_the_weights_of_one_convolution() -> None:
    plain, refined = (
        PlainUNet(1, 1, filters=4, depth=1, space_to_depth=(2, 2, 2), refinement=one)
        for one in (False, True)
    )

    sizes = [sum(one.numel() for one in network.parameters()) for network in (plain, refined)]
    # 4 features and 8 voxels of a block in, 4 out, and 4 biases
    assert sizes[1] - sizes[0] == 27 * (4 + 8) * 4 + 4
    assert refined(torch.randn(1, 1, 16, 8, 8)).shape == (1, 1, 16, 8, 8)


def test_without_features_the_logits_depend_on_the_image_of_the_neighbours() -> None:
    torch.manual_seed(0)
    network = PlainUNet(1, 1, filters=4, depth=1, refinement=True)
    assert network.output_refinement is not None
    with torch.no_grad():
        network.output_refinement.weight[:, :4] = 0  # the features' part
    image = torch.zeros(1, 1, 8, 8, 8, requires_grad=True)

    network(image)[0, 0, 4, 4, 4].backward()

    assert image.grad is not None
    reached = image.grad[0, 0].nonzero()
    assert reached.min(0).values.tolist() == [3, 3, 3]
    assert reached.max(0).values.tolist() == [5, 5, 5]


def test_it_is_flat_where_the_first_kernels_are() -> None:
    kernels = ((1, 3, 3), (3, 3, 3))

    network = PlainUNet(1, 1, filters=4, depth=1, kernels=kernels, refinement=True)

    assert network.output_refinement is not None
    assert tuple(network.output_refinement.kernel_size) == (1, 3, 3)
    assert network(torch.randn(1, 1, 4, 8, 8)).shape == (1, 1, 4, 8, 8)


def test_the_output_layer_and_its_fraction_stay() -> None:
    torch.manual_seed(0)
    network = PlainUNet(1, 1, filters=4, depth=1, space_to_depth=(2, 2, 2), refinement=True)

    initialise_output_bias(network, [0.9, 0.1])

    assert output_layer(network) is network.output
    assert activate(network(torch.zeros(1, 1, 8, 8, 8))).mean().item() == pytest.approx(
        0.1, abs=0.01
    )
    assert network.output_refinement is not None
    assert is_matrix(network.output_refinement.weight)


def test_the_key_is_read() -> None:
    network = PlainUNetConfig(filters=4, depth=1, refinement=True).build()

    assert network.output_refinement is not None
    assert PlainUNetConfig(filters=4, depth=1).build().output_refinement is None
