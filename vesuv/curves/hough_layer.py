"""Mean evidence along every sinusoid of a strip: a Hough transform with a gradient.

The features of a row are stated by their harmonics around the hole. A sinusoid of amplitude a takes
each harmonic m of the rows above and below its depth with weights that do not depend on its phase,
and the phase turns the sum by m times itself. So the transform is a product with fixed matrices,
and turning a strip moves its peaks along the phases alone.

Source:
    Han et al. 2020, Deep Hough Transform for Semantic Line Detection, with sinusoids for lines.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vesuv.curves.config import DetectorConfig
from vesuv.curves.geometry import REFERENCE_HOLE, azimuth_of

_SPACING_POWER = 1.5
"""Amplitudes lie closer together where they are small, as the dips of beds are."""
_NUM_ANGLES = 720


class HoughLayer(nn.Module):
    """Evidence (b, c, rows, columns) to its means (b, c, rows, amplitudes, phases).

    Beside the strip there is no evidence.

    Args:
        config: Section of the detector.
        num_rows: Rows of the evidence.
        row_pixels: Rows of the strip for one row of the evidence.
    """

    def __init__(self, config: DetectorConfig, num_rows: int, row_pixels: int) -> None:
        super().__init__()
        self.order = config.harmonics
        self.amplitudes = amplitudes_of(config)
        weights = _weights(self.amplitudes / row_pixels, num_rows, self.order)
        self.register_buffer("weights", torch.from_numpy(weights), persistent=False)
        orders, phases = np.arange(self.order + 1)[:, None], phases_of(config)
        waves = np.stack([np.cos(orders * phases), np.sin(orders * phases)]).astype(np.float32)
        self.register_buffer("waves", torch.from_numpy(waves), persistent=False)

    def forward(self, evidence: Tensor) -> Tensor:
        cosines, sines = harmonics(evidence, self.order)
        of_cosine, of_sine = self.get_buffer("weights")
        even = _mixed(cosines, of_cosine) + _mixed(sines, of_sine)
        odd = _mixed(cosines, of_sine) - _mixed(sines, of_cosine)
        cosine_waves, sine_waves = self.get_buffer("waves")
        means: Tensor = even @ cosine_waves + odd @ sine_waves
        return means


def amplitudes_of(config: DetectorConfig) -> npt.NDArray[np.float64]:
    """Return the amplitudes in rows of the strip, from 0 up."""
    shares = np.arange(config.amplitudes) / (config.amplitudes - 1)
    return np.asarray(config.max_amplitude * shares**_SPACING_POWER)


def phases_of(config: DetectorConfig) -> npt.NDArray[np.float64]:
    """Return the phases in radians."""
    return np.asarray(np.arange(config.phases) * (2 * np.pi / config.phases))


def parameter_grid(config: DetectorConfig) -> Tensor:
    """Return dip (share of 90 degrees, in the reference hole), and cosine and sine of the azimuth.

    Returns:
        One row for each amplitude and phase, (amplitudes * phases, 3).
    """
    dips = REFERENCE_HOLE.dip(amplitudes_of(config))[:, None] / 90.0
    azimuths = np.radians(azimuth_of(phases_of(config)))[None]
    parts = np.broadcast_arrays(dips, np.cos(azimuths), np.sin(azimuths))
    return torch.from_numpy(np.stack(parts, axis=-1).reshape(-1, 3).astype(np.float32))


def harmonics(features: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return the factors of cos mθ and of sin mθ around the hole, for m from 0, (..., order + 1).

    Args:
        features: (..., columns).
        order: Highest harmonic, below half the columns.
    """
    columns = features.shape[-1]
    angle = torch.arange(columns, device=features.device) * (2 * math.pi / columns)
    angles = angle[:, None] * torch.arange(order + 1, device=features.device)
    factor = torch.full((order + 1,), 2.0 / columns, device=features.device)
    factor[0] = 1.0 / columns
    return features @ (torch.cos(angles) * factor), features @ (torch.sin(angles) * factor)


def _mixed(waves: Tensor, weights: Tensor) -> Tensor:
    """Sum harmonics (b, c, r, m) over rows r with weights (m, r, row, a) to (b, c, row, a, m)."""
    return torch.einsum("bcrm,mroa->bcoam", waves, weights)


def _weights(
    amplitudes: npt.NDArray[np.float64], num_rows: int, order: int
) -> npt.NDArray[np.float32]:
    """Return cosine and sine weights of each harmonic and row, (2, m, row in, row out, amplitude).

    Args:
        amplitudes: In rows of the evidence, between which it is interpolated linearly.
        num_rows: Rows of the evidence.
        order: Highest harmonic.
    """
    angles = (np.arange(_NUM_ANGLES) + 0.5) * (2 * np.pi / _NUM_ANGLES)
    orders = np.arange(order + 1)
    waves = np.stack([np.cos(orders[:, None] * angles), np.sin(orders[:, None] * angles)])
    offsets = np.arange(-num_rows, num_rows + 1)
    lines = amplitudes[:, None] * np.sin(angles)
    hats = np.maximum(0.0, 1.0 - np.abs(offsets[:, None, None] - lines))  # offset, a, angle
    by_offset = np.einsum("oat,wmt->wmoa", hats, waves) / _NUM_ANGLES
    rows = np.arange(num_rows)
    return np.asarray(by_offset[:, :, rows[:, None] - rows + num_rows], dtype=np.float32)
