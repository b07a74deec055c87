"""A raw case in memory, and a prepared case as training reads it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from vesuv.data.blocks import BLOCK_SIZE
from vesuv.data.records import NO_GRID, CaseAttributes
from vesuv.data.statistics import CaseStatistics
from vesuv.errors import InputError
from vesuv.types import Array, ClassArray, Shape, Spacing


@dataclass(frozen=True, eq=False)
class Case:
    """One labelled image in memory, not prepared.

    Args:
        id: Name, unique in the data set.
        image: Intensities, (z, y, x) or (c, z, y, x), any real type.
        label: Label values as the configuration declares them, (z, y, x).
        spacing: Voxel edges along z, y, x in `unit`.
        group: Group for grouped or stratified folds.
        unit: Unit of the spacing (pm, Å, nm, µm, mm, cm, m, in); None when not known.
        direction: Unit vectors of the axes, see `vesuv.io.formats.Volume`; None when not known.
    """

    id: str
    image: Array
    label: Array
    spacing: Spacing = (1.0, 1.0, 1.0)
    group: str | None = None
    unit: str | None = None
    direction: tuple[float, ...] | None = None

    @property
    def num_channels(self) -> int:
        """Channels of the image."""
        return self.image.shape[0] if self.image.ndim == 4 else 1

    @property
    def states_grid(self) -> bool:
        """Whether a spacing, unit or direction is known."""
        return (tuple(self.spacing), self.unit, self.direction) != NO_GRID


@dataclass(frozen=True, eq=False)
class PreparedCase(ABC):
    """One case with encoded label, statistics and block counts, on the training grid.

    The arrays are read-only. The native grid is the file's, before resampling to `data.spacing`.
    """

    attributes: CaseAttributes = field(repr=False, hash=False)
    block_size: ClassVar[int] = BLOCK_SIZE

    @property
    @abstractmethod
    def location(self) -> str:
        """Path or name of the case, for messages."""

    @property
    @abstractmethod
    def image(self) -> Array:
        """Unscaled intensities, (c, z, y, x)."""

    @property
    @abstractmethod
    def label(self) -> ClassArray:
        """Class indices and `IGNORE`, (z, y, x) uint8."""

    @property
    @abstractmethod
    def stored_counts(self) -> Array:
        """Voxels of each class in each block, (num_classes + 1, bz, by, bx) uint16; last: valid."""

    @property
    def block_counts(self) -> Array:
        """The same counts as int64, converted at every access."""
        return self.stored_counts.astype(np.int64)

    @property
    @abstractmethod
    def _resampled_native_label(self) -> ClassArray:
        """The label on the native grid, where that differs from the training grid."""

    @property
    def id(self) -> str:
        """Name of the case."""
        return self.attributes.id

    @property
    def group(self) -> str | None:
        """Group for grouped or stratified folds; None when not known."""
        return self.attributes.group

    @property
    def shape(self) -> Shape:
        """Voxels along z, y, x."""
        return self.attributes.shape

    @property
    def spacing(self) -> Spacing:
        """Voxel edges along z, y, x, in `unit`."""
        return self.attributes.spacing

    @property
    def unit(self) -> str | None:
        """Unit of the spacing; None when not known."""
        return self.attributes.unit

    @property
    def num_channels(self) -> int:
        """Channels of the image."""
        return self.attributes.num_channels

    @property
    def num_classes(self) -> int:
        """Classes, background counted, ignore not."""
        return self.attributes.num_classes

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Number type of the image."""
        return np.dtype(self.attributes.dtype)

    @property
    def statistics(self) -> CaseStatistics:
        """Intensity statistics of the image."""
        return self.attributes.statistics

    @property
    def values(self) -> dict[int, int]:
        """Label value in the file -> voxels in the file."""
        return self.attributes.values

    @property
    def native_shape(self) -> Shape:
        """Voxels along z, y, x of the file.

        Raises:
            InputError: A former version resampled the case and did not record its grid.
        """
        self._require_native_grid()
        return self.attributes.native_shape or self.shape

    @property
    def native_spacing(self) -> Spacing:
        """Voxel edges along z, y, x of the file, in `unit`.

        Raises:
            InputError: A former version resampled the case and did not record its grid.
        """
        self._require_native_grid()
        return self.attributes.native_spacing or self.spacing

    @property
    def native_label(self) -> ClassArray:
        """Class indices and `IGNORE` on the file's grid, (z, y, x) uint8.

        Raises:
            InputError: A former version resampled the case and did not record its label.
        """
        return self.label if self.native_shape == self.shape else self._resampled_native_label

    def _require_native_grid(self) -> None:
        if not self.attributes.keeps_native_grid:
            raise InputError(
                f"{self.location}: was resampled by a former version, which did not keep the "
                "label on the file's own grid; prepare again with --overwrite"
            )


@dataclass(frozen=True, eq=False)
class MemoryCase(PreparedCase):
    """A prepared case whose arrays lie in memory.

    Args:
        attributes: Its properties without the voxels.
        arrays: image, label, blocks and, where the case was resampled, native_label.
    """

    arrays: dict[str, Array] = field(repr=False)

    @property
    def location(self) -> str:
        return f"case {self.id}"

    @property
    def image(self) -> Array:
        return self.arrays["image"]

    @property
    def label(self) -> ClassArray:
        return self.arrays["label"]

    @property
    def stored_counts(self) -> Array:
        return self.arrays["blocks"]

    @property
    def _resampled_native_label(self) -> ClassArray:
        return self.arrays["native_label"]
