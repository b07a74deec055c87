"""Images as callers give them: checks, channels, number type."""

from __future__ import annotations

import math

import numpy as np

from vesuv.data.preparation import storable_channels
from vesuv.errors import InputError
from vesuv.types import Array, Spacing


def check_spacing(spacing: Spacing) -> None:
    """Refuse edges that are not finite and above 0.

    Raises:
        InputError: Names the spacing.
    """
    if len(spacing) != 3 or not all(0.0 < edge < math.inf for edge in spacing):
        raise InputError(f"a spacing is 3 finite voxel edges above 0, found {spacing}; correct it")


def checked_channels(image: Array, num_channels: int) -> Array:
    """Return the channels (c, z, y, x) of an image in a storable number type.

    Args:
        image: (z, y, x) or (c, z, y, x).
        num_channels: Number of channels in training.

    Raises:
        InputError: It is no image of real numbers, or has other channels.
    """
    image = np.asarray(image)
    channels = storable_channels(image)
    if len(channels) != num_channels:
        raise InputError(
            f"the networks were trained on {num_channels} channel"
            f"{'s' * (num_channels > 1)}, found {len(channels)} in an array of shape "
            f"{image.shape}; give those of training, as (c, z, y, x)"
        )
    return channels


def to_native_byte_order(image: Array) -> Array:
    """Return a contiguous, writable array in the machine's byte order, copied only if needed."""
    order = image.dtype.newbyteorder("=")
    return image.astype(order, order="C", copy=not image.flags.writeable)
