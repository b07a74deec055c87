"""The volumes that a prediction is asked for: which files, and whether the networks fit them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vesuv.errors import InputError
from vesuv.io.formats import Volume, read, stem, suffix, volumes_in

_CHANNEL = re.compile(r"(?P<id>.+)_(?P<channel>\d{4})")


@dataclass(frozen=True)
class InputVolume:
    """One case to predict.

    Args:
        id: The file's name without ending, and without the channel number.
        files: One file a channel, or one file that holds all channels.
    """

    id: str
    files: tuple[Path, ...]

    @property
    def output_name(self) -> str:
        """File name of the mask: the input's own format."""
        return self.id + suffix(self.files[0])


def find_inputs(path: Path, *, channel_files: bool) -> list[InputVolume]:
    """List the volumes at `path`, sorted by id.

    Args:
        path: A volume, or a folder of volumes.
        channel_files: Names end in _0000, _0001 …, one file a channel.

    Raises:
        InputError: Nothing there that can be read, or two volumes of one name.
    """
    single = bool(suffix(path)) or path.is_file()
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check --input")
    files = [path] if single else volumes_in(path)
    if not files:
        raise InputError(f"{path}: holds no volume in a known format; check --input")
    grouped: dict[str, list[Path]] = {}
    for file in files:
        match = _CHANNEL.fullmatch(stem(file)) if channel_files else None
        name = match["id"] if match else stem(file)
        if name in grouped and not match:
            raise InputError(
                f"{file}: {grouped[name][0].name} has the same name; predict them separately"
            )
        grouped.setdefault(name, []).append(file)
    return [InputVolume(name, tuple(sorted(files))) for name, files in sorted(grouped.items())]


def read_input(volume: InputVolume, num_channels: int) -> tuple[Volume, npt.NDArray[Any]]:
    """Read a case's files.

    Returns:
        The first file, whose geometry the mask takes on, and the image (c, z, y, x).

    Raises:
        InputError: Unreadable, other channels than the networks', or files of unlike shape.
    """
    volumes = [read(file) for file in volume.files]
    first = volumes[0]
    for file, other in zip(volume.files, volumes, strict=True):
        if other.shape != first.shape:
            raise InputError(
                f"{file}: channels of a case have one shape, found {other.shape} and, in "
                f"{volume.files[0].name}, {first.shape}; export them on one grid"
            )
    parts = [part.channels for part in volumes]
    image = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if len(image) != num_channels:
        raise InputError(
            f"{volume.files[0]}: the networks were trained on {num_channels} channels, found "
            f"{len(image)}; give the channels of training"
        )
    return first, image
