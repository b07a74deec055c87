"""The encoder is circular in azimuth."""

from __future__ import annotations

import pytest
import torch

from vesuv.curves.config import CurvesConfig, DetectorConfig
from vesuv.curves.encoder import Encoder, num_layers

SMALL = DetectorConfig(filters=(8, 8, 16, 16), strides=((1, 1), (2, 3), (1, 2), (1, 1)))


@pytest.fixture
def strip() -> torch.Tensor:
    return torch.randn(1, 2, 40, 72, generator=torch.Generator().manual_seed(0))


def test_a_turned_strip_gives_turned_features(strip: torch.Tensor) -> None:
    torch.manual_seed(0)
    encoder = Encoder(SMALL).eval()

    features, turned = encoder(strip), encoder(strip.roll(24, dims=3))

    assert features.shape == (1, 16, 10, 3)
    assert not torch.allclose(features, turned)
    torch.testing.assert_close(turned, features.roll(1, dims=3))


def test_a_strip_that_is_moved_in_depth_is_another_strip(strip: torch.Tensor) -> None:
    torch.manual_seed(0)
    encoder = Encoder(SMALL).eval()

    assert not torch.allclose(encoder(strip.roll(4, dims=2)), encoder(strip).roll(1, dims=2))


def test_the_shipped_blocks_make_10_layers_and_the_deeper_ones_34() -> None:
    assert num_layers(DetectorConfig()) == 10
    assert num_layers(DetectorConfig(blocks=(3, 4, 6, 3))) == 34


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strips": {"rows": 99}}, "strips.rows: must be a multiple of 2"),
        ({"strips": {"columns": 350}}, "strips.columns: must be a multiple of 4"),
        ({"detector": {"filters": [12, 32, 64, 64]}}, "detector.filters: must be multiples of 8"),
        ({"detector": {"harmonics": 45}}, "detector.harmonics: must be below half .* 90 columns"),
        ({"detector": {"heads": 3}}, "heads must divide the width 64, found 3"),
        ({"detector": {"blocks": [1, 1]}}, "one entry a stage, found 4, 2 and 4"),
        ({"augment": {"gain": [2.0, 1.0]}}, r"is \[low, high\] with 0 < low <= high"),
    ],
)
def test_a_configuration_that_fits_no_network_is_refused(changes: dict, sentence: str) -> None:
    tree = {"task": "curves", "name": "a", "logs": {"root": "."}, **changes}

    with pytest.raises(ValueError, match=sentence):
        CurvesConfig.model_validate(tree)
