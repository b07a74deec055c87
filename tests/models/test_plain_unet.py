from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from tests.conftest import tiny_tree
from vesuv.config import check, load_config
from vesuv.errors import InputErrors
from vesuv.models import build_model
from vesuv.models.plain_unet import PlainUNet, PlainUNetConfig


def test_the_default_network_has_the_diarys_number_of_parameters() -> None:
    network = build_model(load_config("configs/v9_progressive.yaml").model)

    assert sum(parameter.numel() for parameter in network.parameters()) == 22_575_329


def test_parameter_names_begin_with_the_four_parts() -> None:
    network = PlainUNet(in_channels=1, out_channels=1, filters=2, depth=2)

    parts = {name.split(".")[0] for name, _ in network.named_parameters()}

    assert parts == {"encoder", "bottleneck", "decoder", "output"}


def test_logits_have_the_patchs_shape_and_any_channels() -> None:
    network = build_model(PlainUNetConfig(in_channels=2, out_channels=3, filters=2, depth=2))

    logits = network(torch.randn(2, 2, 8, 12, 16))

    assert logits.shape == (2, 3, 8, 12, 16)


def test_every_parameter_receives_a_gradient() -> None:
    torch.manual_seed(0)
    network = PlainUNet(in_channels=1, out_channels=1, filters=4, depth=2)

    network(torch.randn(1, 1, 16, 16, 16)).square().sum().backward()

    # A bias before instance norm is taken away again, so only weights must feel the loss.
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0, name


def test_weights_start_with_he_variance_and_zero_biases() -> None:
    torch.manual_seed(0)
    network = PlainUNet(in_channels=1, out_channels=1, filters=16, depth=1)

    weight = network.bottleneck[2].weight
    expected = (2 / (1 + 0.01**2) / (32 * 27)) ** 0.5

    assert abs(weight.std().item() / expected - 1) < 0.05
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))


def test_without_strides_the_logits_are_those_of_the_first_release() -> None:
    torch.manual_seed(0)
    network = PlainUNet(in_channels=1, out_channels=1, filters=4, depth=2)
    torch.manual_seed(1)
    image = torch.randn(1, 1, 8, 8, 8)

    logits = network(image)

    assert logits.flatten()[:3].tolist() == pytest.approx(
        [-0.5260756611824036, -0.14276939630508423, -0.13615508377552032], abs=1e-5
    )
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_357


def test_strides_of_two_and_kernels_of_three_everywhere_are_the_default_network() -> None:
    torch.manual_seed(0)
    plain = PlainUNetConfig(filters=4, depth=2).build()
    torch.manual_seed(0)
    written = PlainUNetConfig(
        filters=4, depth=2, strides=((2, 2, 2),) * 2, kernels=((3, 3, 3),) * 3
    ).build()
    image = torch.randn(1, 1, 8, 8, 8)

    assert list(plain.state_dict()) == list(written.state_dict())
    assert torch.equal(plain(image), written(image))


def test_an_axis_that_no_pooling_divides_may_have_any_number_of_voxels() -> None:
    config = PlainUNetConfig(filters=4, depth=2, strides=((1, 2, 2), (1, 2, 2)))

    logits = config.build()(torch.randn(1, 1, 5, 8, 12))

    assert config.halvings == (0, 2, 2)
    assert logits.shape == (1, 1, 5, 8, 12)


def test_levels_of_flat_kernels_see_one_slice_alone() -> None:
    torch.manual_seed(0)
    config = PlainUNetConfig(filters=4, depth=1, strides=((1, 2, 2),), kernels=((1, 3, 3),) * 2)
    first = config.build().encoder[0][0]
    image = torch.randn(1, 1, 4, 8, 8)
    changed = image.clone()
    changed[:, :, 0] += 1.0

    difference = (first(changed) - first(image)).abs().amax(dim=(0, 1, 3, 4))

    assert first.weight.shape == (4, 1, 1, 3, 3)
    assert difference[0] > 0
    assert not difference[1:].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strides": ((2, 2, 2),)}, "strides needs 2 entries of .* for depth 2, found 1"),
        ({"kernels": ((3, 3, 3),) * 2}, "kernels needs 3 entries of .* for depth 2, found 2"),
        ({"strides": ((2, 2, 2), (1, 1, 1))}, "strides needs an edge above 1 .* at position 1"),
        ({"strides": ((3, 2, 2), (2, 2, 2))}, "Input should be 1 or 2"),
    ],
)
def test_strides_that_do_not_fit_the_levels_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        PlainUNetConfig(filters=4, depth=2, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("patch_size", "message"),
    [
        ([6, 16, 16], None),
        ([6, 16, 12], r"sampling\.patch_size: .*multiple of \[1, 8, 8\]"),
        ([1, 8, 8], r"sampling\.patch_size: .*single voxel.*enlarge it"),
    ],
)
def test_each_edge_of_the_patch_is_a_multiple_of_its_own_strides(
    patch_size: list[int], message: str | None
) -> None:
    tree = tiny_tree(Path("data"), Path("store"))
    tree["model"] = {"filters": 4, "depth": 3, "strides": [[1, 2, 2]] * 3}
    tree["sampling"] = {"patch_size": patch_size}

    if message is None:
        assert check(tree, "tiny").sampling.patch_size == (6, 16, 16)
    else:
        with pytest.raises(InputErrors, match=message):
            check(tree, "tiny")
