import torch

from vesuv.config import load_config
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
