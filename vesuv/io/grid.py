"""Volumes on one grid: compare the grids of two files, and stack one-channel files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vesuv.errors import InputError
from vesuv.io.formats import Volume, read
from vesuv.io.formats.units import convert
from vesuv.types import Array, Spacing

_SPACING_TOLERANCE = 0.01
"""Largest relative difference of spacings that is accepted as rounding in a header."""
_DIRECTION_TOLERANCE = 0.02
"""Largest difference of unit vectors that is accepted as rounding in a header."""
_ORIGIN_TOLERANCE = 0.501
"""Largest distance of origins along an axis: half a voxel, and a little for rounding."""

VolumeFile = tuple[Path | str, Volume]
"""A volume with its path or address."""


def check_same_grid(
    file: VolumeFile, reference: VolumeFile, roles: tuple[str, str] = ("label", "image")
) -> None:
    """Refuse a volume whose voxels do not coincide with those of a reference.

    Shapes are always compared; spacing, orientation and origin where both headers state them.
    Lengths are converted to one unit where both headers state the unit.

    Args:
        file: The volume to check.
        reference: The volume to compare it with.
        roles: Words for the two in a message.

    Raises:
        InputError: Names both files and the first property that differs.
    """
    volume, other = file[1], reference[1]
    if volume.shape != other.shape:
        raise _refusal(file, reference, roles, "shape", str(volume.shape), str(other.shape))
    if not volume.has_header or not other.has_header:
        return
    if not np.allclose(
        _spacing_in(volume, other.unit), other.spacing, rtol=_SPACING_TOLERANCE, atol=0.0
    ):
        raise _refusal(
            file, reference, roles, "spacing", _spacing_text(volume), _spacing_text(other)
        )
    if (volume.direction is None) != (other.direction is None):
        return  # their coordinates have different meanings
    if volume.direction is not None and not np.allclose(
        volume.direction, np.asarray(other.direction), atol=_DIRECTION_TOLERANCE
    ):
        values = _vector_text(volume.direction), _vector_text(other.direction)
        raise _refusal(file, reference, roles, "orientation", *values)
    if volume.origin is None or other.origin is None:
        return
    if _origin_distance(volume, other) > _ORIGIN_TOLERANCE:
        values = _vector_text(volume.origin), _vector_text(other.origin)
        raise _refusal(file, reference, roles, "origin", *values)


def read_channels(files: Sequence[Path]) -> tuple[Volume, Array]:
    """Read a case whose channels lie in one file or in several.

    Args:
        files: One file a channel, or one file that holds all channels.

    Returns:
        The first file's volume, which holds the geometry, and all channels, (c, z, y, x).

    Raises:
        InputError: A file cannot be read, or lies on another grid than the first.
    """
    first = read(files[0])
    channels = [first.channels]
    for path in files[1:]:
        volume = read(path)
        check_same_grid((path, volume), (files[0], first), ("channel", "channel"))
        channels.append(volume.channels)
    return first, channels[0] if len(channels) == 1 else np.concatenate(channels)


def _refusal(
    file: VolumeFile,
    reference: VolumeFile,
    roles: tuple[str, str],
    aspect: str,
    value: str,
    expected: str,
) -> InputError:
    role, other = roles
    pair = f"{role}s" if role == other else f"{other} and {role}"
    return InputError(
        f"{file[0]}: {pair} of a case have one {aspect}, found {role} {value} and {other} "
        f"{expected} ({reference[0]}); export both on one grid"
    )


def _origin_distance(volume: Volume, other: Volume) -> float:
    """Distance of the origins along the axis of `other` where it is largest, in its voxels."""
    axes = np.eye(3) if other.direction is None else np.reshape(other.direction, (3, 3))
    origin = [convert(x, volume.unit, other.unit) for x in volume.origin or ()]
    offset = np.subtract(origin, other.origin or ())
    try:
        return float(np.abs(np.linalg.solve(axes.T * other.spacing, offset)).max())
    except np.linalg.LinAlgError:  # both headers hold the same axes, which span no volume
        return 0.0


def _spacing_in(volume: Volume, unit: str | None) -> Spacing:
    z, y, x = (convert(edge, volume.unit, unit) for edge in volume.spacing)
    return z, y, x


def _spacing_text(volume: Volume) -> str:
    return f"{volume.spacing}{f' {volume.unit}' if volume.unit else ''}"


def _vector_text(values: Sequence[float] | None) -> str:
    return str([round(value, 3) for value in values or ()])
