"""The encoder is circular in azimuth."""

from __future__ import annotations

import math

import pytest
import torch

from vesuv.curves.config import CurvesConfig, DetectorConfig, StripsConfig
from vesuv.curves.detector import Detector, PlaceAttention
from vesuv.curves.encoder import Encoder, depth_codes, harmonics, num_layers, standardised

SMALL = DetectorConfig(filters=(8, 8, 16, 16), width=16, queries=3, feedforward=16, harmonics=1)


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


def test_turning_changes_the_phase_of_the_harmonics_alone(strip: torch.Tensor) -> None:
    torch.manual_seed(0)
    encoder = Encoder(SMALL).eval()
    order = 1

    waves = harmonics(encoder(strip), order)
    turned = harmonics(encoder(strip.roll(24, dims=3)), order)

    turn = torch.polar(torch.tensor(1.0), torch.tensor(2 * math.pi * 24 / 72))
    for one, other in ((waves, turned), (standardised(waves), standardised(turned))):
        torch.testing.assert_close(other[..., 0], one[..., 0])
        before, after = (torch.complex(part[..., 1], part[..., 2]) for part in (one, other))
        torch.testing.assert_close(after.abs(), before.abs())
        torch.testing.assert_close(after, before * turn)


def test_harmonics_are_standardised_over_the_rows() -> None:
    waves = torch.tensor([[[[1.0, 0.0, 2.0], [3.0, 4.0, 2.0]]]])

    result = standardised(waves)[0, 0]

    root = 2**0.5  # mean square of cosine and sine: (4 + 0) / 2
    expected = torch.tensor([[-1.0, -2 / root, 0.0], [1.0, 2 / root, 0.0]])
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_the_harmonics_of_a_wave_are_its_cosine_and_sine() -> None:
    angle = torch.arange(12) * (2 * math.pi / 12)
    features = (3.0 + 2.0 * torch.cos(angle) - 5.0 * torch.sin(2 * angle))[None, None, None]

    waves = harmonics(features, 2)[0, 0, 0]

    expected = torch.tensor([3.0, 2 / 2**0.5, 0.0, 0.0, -5 / 2**0.5])
    torch.testing.assert_close(waves, expected, atol=1e-5, rtol=0)


def test_the_shipped_blocks_make_10_layers_and_the_deeper_ones_34() -> None:
    assert num_layers(DetectorConfig()) == 10
    assert num_layers(DetectorConfig(blocks=(3, 4, 6, 3))) == 34


def test_a_detector_begins_with_few_curves_at_depths_spread_over_the_strip() -> None:
    torch.manual_seed(0)
    detector = Detector(SMALL, StripsConfig(rows=40, columns=72)).eval()

    last = detector(torch.zeros(2, 2, 40, 72))[-1]

    assert last.logits.shape == (2, 3, 3)
    assert last.logits.softmax(-1)[..., 2].mean() > 0.6
    torch.testing.assert_close(
        last.depth[0], torch.tensor([1 / 6, 1 / 2, 5 / 6]), atol=0.15, rtol=0
    )


def test_all_weights_get_a_gradient() -> None:
    torch.manual_seed(0)
    detector = Detector(SMALL, StripsConfig(rows=40, columns=72))

    layers = detector(torch.randn(2, 2, 40, 72))
    parts = [(x.logits, x.depth, x.dip, x.direction) for x in layers]
    sum(part.square().sum() for layer in parts for part in layer).backward()

    without = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias of keys cancels in the softmax.
    assert [name for name in without if not name.endswith("project.1.bias")] == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strips": {"rows": 98}}, "strips.rows: must be a multiple of 4"),
        ({"strips": {"columns": 350}}, "strips.columns: must be a multiple of 24"),
        ({"detector": {"filters": [12, 32, 64, 64]}}, "detector.filters: must be multiples of 8"),
        ({"detector": {"harmonics": 8}}, "detector.harmonics: must be below half .* 15 columns"),
        ({"detector": {"heads": 3}}, "heads must divide the width 64, found 3"),
        ({"detector": {"blocks": [1, 1]}}, "one entry a stage, found 4, 2 and 4"),
        ({"augment": {"gain": [2.0, 1.0]}}, r"is \[low, high\] with 0 < low <= high"),
    ],
)
def test_a_configuration_that_fits_no_network_is_refused(changes: dict, sentence: str) -> None:
    tree = {"task": "curves", "name": "a", "logs": {"root": "."}, **changes}

    with pytest.raises(ValueError, match=sentence):
        CurvesConfig.model_validate(tree)


def test_a_query_begins_with_the_tokens_near_its_depth() -> None:
    torch.manual_seed(0)
    depths = (torch.arange(25) + 0.5) / 25
    nearness = PlaceAttention(64, 4)(depth_codes(depths[[4, 20]], 64), depth_codes(depths, 64))

    weights = nearness.softmax(-1)

    assert weights.argmax(-1).tolist() == [[4, 20]] * 4
    assert weights[:, 0, 2:7].sum(-1).mean() > 0.6
