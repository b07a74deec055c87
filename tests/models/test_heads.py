import math

import pytest
import torch

from vesuv.config.labels import LabelsConfig
from vesuv.config.model import NetworkConfig
from vesuv.models import build_model
from vesuv.models.dynunet import DynUNetConfig
from vesuv.models.heads import (
    SMALLEST_FRACTION,
    activate,
    foreground_probability,
    initialise_output_bias,
    output_layer,
    predicted_classes,
)
from vesuv.models.mednext import MedNeXtConfig
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.models.segresnet import SegResNetConfig

NETWORKS: list[tuple[NetworkConfig, str]] = [
    (PlainUNetConfig(filters=2, depth=1), "output"),
    (DynUNetConfig(name="dynunet", filters=4, depth=2), "output_block.conv.conv"),
    (SegResNetConfig(name="segresnet", filters=8), "conv_final.2.conv"),
    (MedNeXtConfig(name="mednext"), "out_0.conv_out"),
]


@pytest.mark.parametrize(("config", "name"), NETWORKS, ids=[name for _, name in NETWORKS])
def test_the_output_layer_of_each_network_is_found(config: NetworkConfig, name: str) -> None:
    network = build_model(config)

    assert output_layer(network) is network.get_submodule(name)


def test_one_logit_starts_at_the_log_odds_of_the_foreground() -> None:
    network = build_model(PlainUNetConfig(filters=2, depth=1))

    initialise_output_bias(network, (0.9, 0.1))

    assert network.output.bias.tolist() == pytest.approx([math.log(1 / 9)])


def test_several_logits_start_at_the_log_of_each_class() -> None:
    network = build_model(PlainUNetConfig(filters=2, depth=1, out_channels=3))

    initialise_output_bias(network, (0.5, 0.3, 0.2))

    start = torch.softmax(network.output.bias, dim=0)
    assert start.tolist() == pytest.approx([0.5, 0.3, 0.2])


@pytest.mark.parametrize("foreground", [0.0, 1.0])
def test_a_class_that_never_or_always_occurs_gets_a_finite_bias(foreground: float) -> None:
    network = build_model(PlainUNetConfig(filters=2, depth=1))

    initialise_output_bias(network, (1 - foreground, foreground))

    limit = math.log(SMALLEST_FRACTION / (1 - SMALLEST_FRACTION))
    assert abs(network.output.bias.item()) == pytest.approx(abs(limit), rel=1e-3)


def test_one_logit_is_a_sigmoid_and_several_are_a_softmax() -> None:
    one = activate(torch.zeros(1, 1, 1, 1, 2))
    several = activate(torch.tensor([0.0, math.log(3.0)]).view(1, 2, 1, 1, 1))

    assert one.flatten().tolist() == [0.5, 0.5]
    assert several.flatten().tolist() == pytest.approx([0.25, 0.75])


REGIONS = LabelsConfig(
    classes={"air": 0, "front": 4, "back": 6},
    regions={"both": ("front", "back"), "back": ("back",)},
).targets


def test_each_region_starts_at_the_log_odds_of_its_share() -> None:
    network = build_model(PlainUNetConfig(filters=2, depth=1, out_channels=2))

    initialise_output_bias(network, (0.5, 0.3, 0.2), REGIONS)

    assert torch.sigmoid(network.output.bias).tolist() == pytest.approx([0.5, 0.2])


def test_regions_are_a_sigmoid_each_and_written_one_over_the_other() -> None:
    logits = torch.tensor([[2.0, 2.0, -2.0, -2.0], [-2.0, 2.0, -2.0, 2.0]]).view(1, 2, 1, 1, 4)

    probs = activate(logits, overlap=True)

    assert probs[0, 0, 0, 0].tolist() == pytest.approx([0.8808, 0.8808, 0.1192, 0.1192], abs=1e-4)
    assert predicted_classes(logits, REGIONS, 0.5).flatten().tolist() == [1, 2, 0, 2]
    assert predicted_classes(logits, REGIONS, 0.9).flatten().tolist() == [0, 0, 0, 0]
    foreground = foreground_probability(probs, overlap=True)
    assert foreground.flatten().tolist() == pytest.approx(
        [0.8808, 0.8808, 0.1192, 0.8808], abs=1e-4
    )
