"""Boundary probabilities in files, of which only the requested boxes are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.errors import InputError
from vesuv.inference.blocks.arrays import PROBABILITIES
from vesuv.inference.instances.arrays import to_levels
from vesuv.inference.instances.parameters import InstanceSelection
from vesuv.io.formats import suffix
from vesuv.io.lazy import LazyVolume, attributes, open_lazy
from vesuv.types import Array, Region, Shape


@dataclass(frozen=True)
class FileLevels:
    """Boundary levels of a file; can be sent to other processes.

    Args:
        path: File with probabilities; an OME-Zarr image of `predict --probabilities` holds them in
            its group `probabilities`.
        selection: Channel of the boundary.
    """

    path: Path
    selection: InstanceSelection

    @cached_property
    def volume(self) -> LazyVolume:
        """The probabilities; their voxels are read on request.

        Raises:
            InputError: They cannot be opened.
        """
        return open_lazy(self._array_path)

    @cached_property
    def channel(self) -> int:
        """Channel of the boundary.

        Raises:
            InputError: The file has neither one channel nor those of the networks.
        """
        num, wanted = self.volume.voxels.shape[0], self.selection.num_channels
        if num == wanted:
            return self.selection.channel
        if num == 1:
            return 0
        others = f" or the {wanted} channels of the networks" if wanted > 1 else ""
        raise InputError(
            f"{self.path}: must hold the probability of {self.selection.class_name} in one channel"
            f"{others}, found {num}; give what predict --probabilities writes"
        )

    @property
    def shape(self) -> Shape:
        return self.volume.shape

    def __getstate__(self) -> dict[str, object]:
        """Leave open files out."""
        return {key: value for key, value in self.__dict__.items() if key != "volume"}

    def check(self) -> None:
        """Refuse a file that holds no such probabilities; its voxels are not read.

        Raises:
            InputError: It has other channels, or calibrated probabilities.
        """
        _ = self.channel
        if self._scale.get("calibrated"):
            raise InputError(
                f"{self.path}: holds calibrated probabilities, and parameters are chosen for the "
                "others; predict without --calibrated"
            )

    def read(self, box: Region) -> Array:
        values: Array = self.volume.voxels.read(box)[self.channel]
        if values.dtype == np.uint8 and self._scale.get("levels") == PROBABILITY_STEPS:
            return values
        try:
            return to_levels(values)
        except InputError as fault:
            raise InputError(f"{self.path}: {fault}") from None

    @cached_property
    def _array_path(self) -> Path:
        inside = self.path / PROBABILITIES
        return inside if suffix(self.path) == ".zarr" and inside.is_dir() else self.path

    @cached_property
    def _scale(self) -> Mapping[str, Any]:
        """What an image of `predict --probabilities` says about its values; else empty."""
        scale = attributes(self._array_path).get("vesuv", {})
        return scale if isinstance(scale, dict) else {}
