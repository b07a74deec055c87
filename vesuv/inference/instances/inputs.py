"""Volumes whose instances are written: files, or an address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.inference.blocks.arrays import PROBABILITIES
from vesuv.inference.blocks.source import Source
from vesuv.inference.inputs import find_inputs
from vesuv.inference.provenance import file_record
from vesuv.io.formats import probability_suffix, suffix
from vesuv.io.urls import is_url, url_stem


@dataclass(frozen=True)
class InstanceInput:
    """A volume with probabilities, or an image that networks predict."""

    id: str
    source: Source

    @property
    def name(self) -> str:
        """Path or address, for messages."""
        return self.source.files[0]

    @property
    def paths(self) -> list[Path]:
        """Files on this computer; empty for an address."""
        return [Path(file) for file in self.source.files if not is_url(file)]

    @property
    def is_remote(self) -> bool:
        """Whether it is an address."""
        return is_url(self.name)

    @property
    def output_name(self) -> str:
        """Name of the instances' file: in the input's format, .tif for PNG and JPEG."""
        return self.id + (".zarr" if self.is_remote else probability_suffix(self.name))

    def record(self) -> dict[str, Any]:
        """Return what provenance.json says of the volume."""
        files = [file_record(path) for path in self.paths] or [{"address": self.name}]
        level = {"level": self.source.level} if self.source.level else {}
        return {"id": self.id, "files": files, **level}


def find_instance_inputs(
    path: str, *, num_channels: int = 1, level: int = 0, anonymous: bool = False
) -> list[InstanceInput]:
    """List the volumes at a path or address, sorted by id.

    Args:
        path: A volume, a folder of volumes, or the address of a Zarr. The probabilities inside an
            image of `predict` have the id of the image.
        num_channels: Channels of a volume, see `find_inputs`.
        level: Level of an OME-Zarr image.
        anonymous: Read from s3 without credentials.

    Raises:
        InputError: No file that can be read, one of an unknown format, or two volumes with the
            same name.
    """
    image = path.rstrip("/").removesuffix(f"/{PROBABILITIES}")
    if suffix(image) == ".zarr":
        path = image
    if is_url(path):
        return [InstanceInput(url_stem(path), Source((path,), level, anonymous))]
    volumes = find_inputs(Path(path), num_channels=num_channels)
    return [InstanceInput(one.id, Source.of_files(one.files, level)) for one in volumes]
