"""Averages along sinusoids, against sums over drawn lines."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vesuv.curves.config import DetectorConfig
from vesuv.curves.geometry import REFERENCE_HOLE
from vesuv.curves.hough_layer import (
    HoughLayer,
    amplitudes_of,
    harmonics,
    parameter_grid,
    phases_of,
)
from vesuv.curves.masks import draw_mask
from vesuv.curves.picks import Pick

CONFIG = DetectorConfig(harmonics=3, amplitudes=5, max_amplitude=9.0, phases=7)


def test_the_harmonics_of_a_wave_are_its_cosine_and_sine() -> None:
    angle = torch.arange(12) * (2 * math.pi / 12)
    features = (3.0 + 2.0 * torch.cos(angle) - 5.0 * torch.sin(2 * angle))[None]

    cosines, sines = harmonics(features, 2)

    torch.testing.assert_close(cosines[0], torch.tensor([3.0, 2.0, 0.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(sines[0], torch.tensor([0.0, 0.0, -5.0]), atol=1e-5, rtol=0)


def test_the_layer_averages_evidence_along_each_sinusoid() -> None:
    rng = np.random.default_rng(0)
    rows, row_pixels, fine = 12, 2, np.arange(720) * (2 * np.pi / 720)
    cosines, sines = rng.normal(size=(2, rows, 4))

    def evidence(angles: np.ndarray) -> np.ndarray:
        orders = np.arange(4)[:, None]
        return cosines @ np.cos(orders * angles) + sines @ np.sin(orders * angles)

    features = torch.from_numpy(evidence(np.arange(18) * (2 * np.pi / 18))).float()
    result = HoughLayer(CONFIG, rows, row_pixels)(features[None, None])[0, 0].numpy()

    padded = np.pad(evidence(fine), ((9, 9), (0, 0)))  # no evidence beside the strip
    for row in (0, 5, 11):
        for a, amplitude in enumerate(amplitudes_of(CONFIG)):
            for p, phase in enumerate(phases_of(CONFIG)):
                line = row + amplitude / row_pixels * np.sin(fine + phase) + 9
                below = np.floor(line).astype(int)
                share, columns = line - below, np.arange(720)
                along = (1 - share) * padded[below, columns] + share * padded[below + 1, columns]
                assert result[row, a, p] == pytest.approx(along.mean(), abs=2e-3)


@pytest.mark.parametrize(("dip", "azimuth"), [(12.0, 40.0), (30.0, 120.0), (50.0, 210.0)])
def test_the_peak_of_a_drawn_curve_states_its_parameters(dip: float, azimuth: float) -> None:
    config = DetectorConfig()
    mask = draw_mask([Pick(50.0, dip, azimuth, 0)], REFERENCE_HOLE, (100, 360))
    evidence = torch.from_numpy(mask[::2, ::4].astype(np.float32))[None, None]

    volume = HoughLayer(config, 50, 2)(evidence)[0, 0]

    row, peak = divmod(int(volume.argmax()), config.amplitudes * config.phases)
    share, cosine, sine = parameter_grid(config)[peak].tolist()
    assert row == pytest.approx(25, abs=1)
    amplitude = float(REFERENCE_HOLE.amplitude(90 * share))
    assert amplitude == pytest.approx(float(REFERENCE_HOLE.amplitude(dip)), abs=2.5)
    difference = (math.degrees(math.atan2(sine, cosine)) - azimuth + 180) % 360 - 180
    assert abs(difference) <= 8.0


def test_turning_the_evidence_moves_the_peaks_along_the_phases_alone() -> None:
    evidence = torch.rand(1, 2, 10, 28, generator=torch.Generator().manual_seed(0))
    layer = HoughLayer(CONFIG, 10, 2)

    turned = layer(evidence.roll(4, dims=3))  # by a seventh: one of 7 phases

    torch.testing.assert_close(turned, layer(evidence).roll(-1, dims=4), atol=1e-5, rtol=1e-4)
