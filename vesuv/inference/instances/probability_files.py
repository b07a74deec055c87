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
from vesuv.inference.blocks.source import Source
from vesuv.inference.instances.arrays import to_levels
from vesuv.inference.instances.parameters import InstanceSelection
from vesuv.inference.provenance import PROVENANCE
from vesuv.io.lazy import LazyVolume, attributes, open_lazy
from vesuv.io.lazy.volume import read_region
from vesuv.io.tables import read_json_or_none
from vesuv.io.urls import is_url
from vesuv.types import Array, Region, Shape


@dataclass(frozen=True)
class FileLevels:
    """Boundary levels of a file or address; can be sent to other processes.

    Args:
        source: One file or address with probabilities; an OME-Zarr image of `predict
            --probabilities` holds them in its group `probabilities`.
        selection: Channel of the boundary.
    """

    source: Source
    selection: InstanceSelection

    @cached_property
    def volume(self) -> LazyVolume:
        """The probabilities; their voxels are read on request.

        Raises:
            InputError: They cannot be opened.
        """
        source = self.source
        return open_lazy(self._image, level=source.level, anonymous=source.anonymous)

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
            f"{self._image}: must hold the probability of {self.selection.class_name} in one "
            f"channel{others}, found {num}; give what predict --probabilities writes"
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
        if self._scale.get("calibrated") or self._record.get("calibrated"):
            raise InputError(
                f"{self._image}: holds calibrated probabilities, and parameters are chosen for the "
                "others; predict without --calibrated"
            )

    def other_networks(self) -> str | None:
        """Return the checkpoints that predicted the file, where parameters are for others.

        None also where nothing beside the file names them.
        """
        runs = [one for one in self._record.get("runs") or () if isinstance(one, dict)]
        judged, key = self.selection.members_sha256, "checkpoint_sha256"
        if judged is None:
            judged, key = (self.selection.checkpoint or "",), "checkpoint"
        is_told = judged != ("",) and not any("bundle_files" in one for one in runs)
        if not runs or not is_told or {one.get(key) for one in runs} == set(judged):
            return None
        return ", ".join(dict.fromkeys(f"{one.get('checkpoint')!s:.60}" for one in runs))

    def read(self, box: Region) -> Array:
        values: Array = read_region(self.volume.voxels, box, self._image)[self.channel]
        if values.dtype == np.uint8 and self._scale.get("levels") == PROBABILITY_STEPS:
            return values
        try:
            return to_levels(values)
        except InputError as fault:
            raise InputError(f"{self._image}: {fault}") from None

    @cached_property
    def _image(self) -> str:
        """The probabilities: those inside an image that says that it is a mask of `predict`."""
        path = self.source.files[0]
        return f"{path.rstrip('/')}/{PROBABILITIES}" if "labels" in self._stated(path) else path

    @cached_property
    def _scale(self) -> Mapping[str, Any]:
        """What an image of `predict --probabilities` says about its values; else empty."""
        return self._stated(self._image)

    @cached_property
    def _record(self) -> Mapping[str, Any]:
        """provenance.json of the call of `predict` that wrote a file; else empty."""
        if is_url(self.source.files[0]):
            return {}
        path = Path(self.source.files[0]).absolute()
        folder = path.parent.parent if path.parent.name == PROBABILITIES else path
        return read_json_or_none(folder / PROVENANCE) or {}

    def _stated(self, path: str) -> Mapping[str, Any]:
        stated = attributes(path, anonymous=self.source.anonymous).get("vesuv", {})
        return stated if isinstance(stated, dict) else {}
