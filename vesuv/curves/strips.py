"""Training strips: a pure function of seed, epoch and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vesuv.curves.config import CurveAugmentConfig, StripsConfig
from vesuv.curves.geometry import REFERENCE_HOLE
from vesuv.curves.logs import ImageLog, LogImage
from vesuv.curves.masks import draw_mask
from vesuv.curves.picks import KINDS, Pick, in_hole

CHANNELS = 2
"""Channels of a strip: normalised grey values, 0 where missing, and where they were measured."""


@dataclass(frozen=True)
class Strip:
    """A part of a log over all azimuths."""

    image: npt.NDArray[np.float32]
    """Normalised grey values (row, column); NaN where missing."""
    curves: tuple[Pick, ...]
    """Picks whose sinusoids may cross the strip; rows count from its top."""

    @property
    def picks(self) -> tuple[Pick, ...]:
        """Those whose depth lies in the strip."""
        return tuple(pick for pick in self.curves if 0 <= pick.row <= len(self.image) - 1)

    def masks(self) -> Tensor:
        """Return the sinusoids of each kind, (kinds, rows, columns)."""
        masks = [
            draw_mask([p for p in self.curves if p.kind == kind], REFERENCE_HOLE, self.image.shape)
            for kind in range(len(KINDS))
        ]
        return torch.from_numpy(np.stack(masks) > 0)

    def tensor(self) -> Tensor:
        """Return the network's input, (2, rows, columns)."""
        return strip_tensor(self.image)


@dataclass(frozen=True)
class StripBatch:
    """Strips of a step."""

    images: Tensor
    """(b, 2, rows, columns)."""
    picks: tuple[tuple[Pick, ...], ...]
    masks: Tensor
    """Sinusoids of each kind, (b, kinds, rows, columns)."""


def normalised(log: ImageLog) -> LogImage:
    """Return the image of a log with the median 0 and a robust deviation of 1."""
    low, middle, high = np.nanpercentile(log.image, (16, 50, 84))
    return np.asarray((log.image - middle) / max((high - low) / 2, 1e-6), dtype=np.float32)


def strip_tensor(image: LogImage) -> Tensor:
    """Return an image as the network's input, (2, rows, columns)."""
    measured = np.isfinite(image)
    values = np.clip(np.where(measured, image, 0.0), -6.0, 6.0)
    return torch.from_numpy(np.stack([values, measured]).astype(np.float32))


def cut_strip(image: LogImage, picks: Sequence[Pick], first: int, rows: int) -> Strip:
    """Cut rows out of a log; rows beside the log are missing.

    Args:
        image: The log.
        picks: Its picks, as they lie in the reference hole.
        first: First row; it may lie above the log.
        rows: Rows of the strip.
    """
    strip = np.full((rows, image.shape[1]), np.nan, dtype=np.float32)
    low, high = max(first, 0), min(first + rows, len(image))
    if high > low:
        strip[low - first : high - first] = image[low:high]
    moved = (replace(pick, row=pick.row - first) for pick in picks)
    return Strip(strip, tuple(pick for pick in moved if _crosses(pick, rows)))


def _crosses(pick: Pick, rows: int) -> bool:
    reach = float(REFERENCE_HOLE.amplitude(pick.dip))
    return -reach <= pick.row <= rows - 1 + reach


class StripSampler:
    """Draws the strips of each step.

    Args:
        logs: Logs of the training wells.
        config: Size and number of strips.
        augment: Random changes; None: none.
        seed: Seed of all strips.

    Picks beyond the detector's number of queries stay in the strip; the loss takes the first ones.
    """

    def __init__(
        self,
        logs: Sequence[ImageLog],
        config: StripsConfig,
        augment: CurveAugmentConfig | None,
        seed: int,
    ) -> None:
        self.config, self.augment, self.seed = config, augment, seed
        self.images = [normalised(log) for log in logs]
        self.picks = [
            tuple(in_hole(pick, log.hole, REFERENCE_HOLE) for pick in log.picks) for log in logs
        ]
        rows = np.array([log.num_rows for log in logs], dtype=np.float64)
        self.shares = rows / rows.sum()
        self.all_picks = [(k, pick.row) for k, picks in enumerate(self.picks) for pick in picks]

    def batch(self, epoch: int, step: int) -> StripBatch:
        """Return the strips of a step."""
        rng = np.random.default_rng([self.seed, epoch, step])
        strips = [self._strip(rng) for _ in range(self.config.batch_size)]
        images = torch.stack([strip.tensor() for strip in strips])
        masks = torch.stack([strip.masks() for strip in strips])
        return StripBatch(images, tuple(strip.picks for strip in strips), masks)

    def _strip(self, rng: np.random.Generator) -> Strip:
        rows = self.config.rows
        if self.all_picks and rng.random() < self.config.with_picks:
            index, row = self.all_picks[rng.integers(len(self.all_picks))]
            first = int(np.floor(row - rng.uniform(0, rows - 1)))
        else:
            index = int(rng.choice(len(self.images), p=self.shares))
            first = int(rng.integers(max(1, len(self.images[index]) - rows + 1)))
            row = first
        if self.augment is None or not self.augment.any_row:
            first = int(row) // rows * rows
        strip = cut_strip(self.images[index], self.picks[index], first, rows)
        return strip if self.augment is None else augmented(strip, self.augment, rng)


def augmented(strip: Strip, config: CurveAugmentConfig, rng: np.random.Generator) -> Strip:
    """Return a strip after the random changes; its picks follow."""
    columns = strip.image.shape[1]
    if config.turn:
        strip = turned(strip, int(rng.integers(columns)))
    if rng.random() < config.mirror:
        strip = mirrored(strip)
    if rng.random() < config.upside_down:
        strip = upside_down(strip)
    image = strip.image * np.float32(rng.uniform(*config.gain))
    deviation = np.float32(rng.uniform(0.0, config.noise))
    image = image + deviation * rng.standard_normal(image.shape, np.float32)
    if rng.random() < config.gaps:
        width, first = int(rng.integers(1, columns // 10 + 1)), int(rng.integers(columns))
        image[:, (first + np.arange(width)) % columns] = np.nan
    return Strip(image, strip.curves)


def turned(strip: Strip, columns: int) -> Strip:
    """Turn a strip around the hole by so many columns, clockwise."""
    turn = 360.0 * columns / strip.image.shape[1]
    picks = (replace(pick, azimuth=(pick.azimuth + turn) % 360) for pick in strip.curves)
    return Strip(np.roll(strip.image, columns, axis=1), tuple(picks))


def mirrored(strip: Strip) -> Strip:
    """Mirror a strip in azimuth; north stays where it is."""
    image = np.roll(strip.image[:, ::-1], 1, axis=1)
    picks = (replace(pick, azimuth=-pick.azimuth % 360) for pick in strip.curves)
    return Strip(image, tuple(picks))


def upside_down(strip: Strip) -> Strip:
    """Turn a strip upside down; a plane then dips the other way."""
    last = len(strip.image) - 1
    picks = (
        replace(pick, row=last - pick.row, azimuth=(pick.azimuth + 180) % 360)
        for pick in reversed(strip.curves)
    )
    return Strip(strip.image[::-1].copy(), tuple(picks))
