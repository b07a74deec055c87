"""The untrained detector: few curves, and gradients for all weights."""

from __future__ import annotations

import torch

from vesuv.curves.config import DetectorConfig, StripsConfig
from vesuv.curves.detector import Detector

SMALL = DetectorConfig(
    filters=(8, 8, 16, 16),
    width=16,
    queries=3,
    feedforward=16,
    harmonics=3,
    amplitudes=4,
    phases=6,
)
STRIPS = StripsConfig(rows=40, columns=72)


def test_each_row_proposes_a_curve_at_its_depth_and_the_decoder_refines_the_best() -> None:
    torch.manual_seed(0)
    detector = Detector(SMALL, STRIPS).eval()

    proposals, *layers = detector(torch.randn(2, 2, 40, 72)).layers

    assert proposals.logits.shape == (2, 20, 3)
    rows = (torch.arange(20) * 2 + 0.5) / 40
    torch.testing.assert_close(proposals.depth, rows.expand(2, -1), atol=0.1, rtol=0)
    assert [layer.logits.shape for layer in layers] == [(2, 3, 3)] * 4
    best = (1 - proposals.logits.softmax(-1)[..., 2]).topk(3, dim=1).indices
    begin = proposals.depth.gather(1, best)
    torch.testing.assert_close(layers[-1].depth, begin, atol=0.1, rtol=0)


def test_a_detector_begins_with_few_curves() -> None:
    torch.manual_seed(0)
    detector = Detector(SMALL, STRIPS).eval()

    detection = detector(torch.randn(2, 2, 40, 72))

    for layer in detection.layers:
        assert layer.logits.softmax(-1)[..., 2].mean() > 0.6
    assert detection.masks.shape == (2, 2, 20, 18)
    assert detection.masks.sigmoid().mean() < 0.3


def test_all_weights_get_a_gradient() -> None:
    torch.manual_seed(0)
    detector = Detector(SMALL, STRIPS)

    detection = detector(torch.randn(2, 2, 40, 72))
    parts = [(x.logits, x.depth, x.dip, x.direction) for x in detection.layers]
    sum(part.square().sum() for layer in parts for part in layer).backward()

    without = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.any()]
    # Biases of keys, and of the peaks, cancel in the softmax.
    cancelled = ("project.1.bias", "peak.bias")
    assert [name for name in without if not name.endswith(cancelled)] == []
