"""The volume of a prediction in blocks as networks see it: voxels, grids, intensities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vesuv.errors import InputError
from vesuv.inference.blocks.compute import Grids
from vesuv.inference.blocks.first_pass import choose_coverage, measure_image
from vesuv.inference.blocks.source import Source
from vesuv.inference.blocks.statistics import ImageStatistics, Pass
from vesuv.inference.domain_shift import DomainShift, InputGrid
from vesuv.inference.image import check_spacing
from vesuv.inference.predictor import Predictor
from vesuv.io.formats.volume import FormatError
from vesuv.io.lazy import LazyVolume
from vesuv.types import Progress, Spacing, no_progress


@dataclass(frozen=True)
class BlockInput:
    """A volume that is read in parts.

    Args:
        predictor: Networks that predict it.
        source: Its files.
    """

    predictor: Predictor
    source: Source

    @cached_property
    def volume(self) -> LazyVolume:
        """The opened files; voxels are read on request.

        Raises:
            InputError: They cannot be opened, or have other channels than the networks.
        """
        volume = self.source.open()
        num_channels, expected = volume.voxels.shape[0], self.predictor.num_channels
        if num_channels != expected:
            raise InputError(
                f"{self.source.files[0]}: the networks were trained on {expected} channel"
                f"{'s' * (expected > 1)}, found {num_channels}; give those of training"
            )
        check_spacing(volume.header.spacing)
        return volume

    @property
    def grid(self) -> InputGrid:
        header = self.volume.header
        return InputGrid(header.spacing, header.unit, header.direction)

    @property
    def has_place(self) -> bool:
        """Whether the file states an orientation, or a place off the origin, as NIfTI does."""
        header = self.volume.header
        if header.direction is None:
            return False
        return header.direction != tuple(np.eye(3).ravel()) or any(header.origin or ())

    @property
    def spacing(self) -> Spacing:
        """Spacing in the unit of training."""
        return self.predictor.spacing_of(self.grid)

    @property
    def grids(self) -> Grids:
        return Grids.of(self.volume.shape, self.spacing, self.predictor.config.data.spacing)

    def coverage(self, requested: Pass | None = None) -> Pass:
        """Return the voxels that intensities are measured on."""
        return choose_coverage(self.grids, requested)

    def measure(self, coverage: Pass, progress: Progress = no_progress) -> ImageStatistics:
        """Measure the intensities.

        Raises:
            InputError: The volume is damaged, or holds NaN or infinite values.
        """
        name = self.source.files[0]
        try:
            return measure_image(self.volume.voxels, self.grids, coverage, progress)
        except InputError as fault:
            raise InputError(f"{name}: {fault}") from None
        except FormatError as fault:
            raise InputError(
                f"{name}: its voxels cannot be read ({fault}); copy it again"
            ) from None

    def shifts(self, statistics: ImageStatistics) -> list[DomainShift]:
        """Return how the volume differs from those of training."""
        domain = self.predictor.domain
        if domain is None:
            return []
        return domain.shifts(self.grid, statistics.working, self.volume.voxels.dtype)
