"""Resampling of images, labels and probabilities to another grid, axis by axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.types import Array, ClassArray, Mask, Shape, Spacing

Kernel = Literal["linear", "cubic"]

_CUBIC = -0.5
"""Slope at 1 of Keys' cubic that reproduces quadratics."""
_SHARE_TOLERANCE = 1e-4
"""Tolerance below the threshold of a share, for rounding."""
_TIE_TOLERANCE = 1e-5
"""Shares of two classes that differ by less are equal, and the first class is taken: how they are
rounded depends on the part of the volume that is in memory."""


def resampled_shape(shape: Shape, spacing: Spacing, target: Spacing) -> Shape:
    """Return the shape that covers the same extent at the target spacing."""
    z, y, x = (
        max(1, round(n * old / new)) for n, old, new in zip(shape, spacing, target, strict=True)
    )
    return z, y, x


def resample_image(image: Array, spacing: Spacing, target: Spacing) -> Array:
    """Interpolate with cubic kernels, which are widened along axes that get coarser.

    Args:
        image: (c, z, y, x).
        spacing: The image's, (z, y, x).
        target: Spacing to resample to.

    Returns:
        The same number type, within the range of the input; integers are rounded.
    """
    shape = resampled_shape(_spatial(image), spacing, target)
    if shape == _spatial(image):
        return image
    result = np.empty((len(image), *shape), image.dtype)
    for channel, out in zip(image, result, strict=True):
        voxels = torch.from_numpy(np.ascontiguousarray(channel, np.float32))
        resampled = _interpolate(voxels, shape, "cubic")
        out[...] = intensities(resampled, voxels.min().item(), voxels.max().item(), image.dtype)
    return result


def intensities(resampled: Tensor, low: float, high: float, dtype: np.dtype[Any]) -> Array:
    """Return values within [low, high], rounded where a number type holds whole numbers alone."""
    if dtype.kind not in "iu":
        return resampled.clamp_(low, high).numpy()
    limit = np.nextafter(np.float32(np.iinfo(dtype).max + 1), 0)  # float32 rounds 2**31 - 1 up
    return resampled.clamp_(low, min(high, float(limit))).round_().numpy()


def resample_label(
    label: ClassArray, spacing: Spacing, target: Spacing, num_classes: int
) -> ClassArray:
    """Interpolate each class's share linearly and take the largest; ignore by nearest neighbour.

    A voxel becomes foreground where the foreground's share of its valid neighbourhood reaches one
    half divided by the coarsening factor, so that a sheet one voxel thick survives any factor.

    Args:
        label: Class indices and `IGNORE`, (z, y, x).
        spacing: The label's, (z, y, x).
        target: Spacing to resample to.
        num_classes: Classes, background counted.
    """
    shape = resampled_shape(_spatial(label), spacing, target)
    if shape == _spatial(label):
        return label
    valid = _resample_mask(label != IGNORE, shape)
    shares = (_resample_mask(label == index, shape) for index in range(1, num_classes))
    rows = [range(edge) for edge in shape]
    nearest = label[np.ix_(*nearest_voxels(_spatial(label), shape, rows))]
    return classes_of_shares(valid, shares, nearest, coarsening(_spatial(label), shape))


def classes_of_shares(
    valid: Tensor, shares: Iterable[Tensor], nearest: ClassArray, factor: float
) -> ClassArray:
    """Return the class of each voxel by the shares of the classes around it, see `resample_label`.

    Args:
        valid: Share of the voxels that are not ignored, (z, y, x).
        shares: Share of each foreground class.
        nearest: Class of the nearest voxel, or `IGNORE`.
        factor: How much coarser the new grid is.
    """
    best_share = torch.zeros_like(valid)
    classes = torch.ones(valid.shape, dtype=torch.uint8)
    foreground_share = torch.zeros_like(valid)
    for index, share in enumerate(shares, start=1):
        foreground_share += share
        is_larger = share > best_share + _TIE_TOLERANCE
        classes[is_larger] = index
        best_share = torch.where(is_larger, share, best_share)
    valid_share = valid.clamp(min=1e-6)
    classes[foreground_share / valid_share < 0.5 / factor - _SHARE_TOLERANCE] = 0
    classes[torch.from_numpy(nearest == IGNORE)] = IGNORE
    return classes.numpy()


def coarsening(old: Shape, new: Shape) -> float:
    """Return how much coarser a new grid is along the axis where it gets coarsest, at least 1."""
    return max(1.0, *(a / b for a, b in zip(old, new, strict=True)))


def nearest_voxels(old: Shape, new: Shape, rows: Sequence[range]) -> list[NDArray[np.intp]]:
    """Return along each axis the old voxels in which the centres of some new ones lie.

    Args:
        old: Shape of the old grid.
        new: Shape of the new grid.
        rows: The new voxels along each axis.
    """
    return [
        np.minimum(((np.arange(part.start, part.stop) + 0.5) * a / b).astype(np.intp), a - 1)
        for a, b, part in zip(old, new, rows, strict=True)
    ]


def resample_probs(probs: Tensor, shape: Shape) -> Tensor:
    """Interpolate probabilities linearly to another shape; they stay within [0, 1].

    Args:
        probs: (k, z, y, x).
        shape: Spatial shape of the result.
    """
    if tuple(probs.shape[1:]) == shape:
        return probs
    return torch.stack([_interpolate(channel.float(), shape, "linear") for channel in probs])


def _resample_mask(mask: Mask, shape: Shape) -> Tensor:
    return _interpolate(torch.from_numpy(mask.astype(np.float32)), shape, "linear")


def _interpolate(volume: Tensor, shape: Shape, kernel: Kernel) -> Tensor:
    """Apply one weight matrix for each axis, first along the axis that shrinks most."""
    for axis in axis_order(_spatial(volume), shape):
        old, new = volume.shape[axis], shape[axis]
        if old != new:
            _, weights = axis_weights(old, new, kernel, range(new))
            volume = apply_weights(volume, weights, axis)
    return volume.contiguous()


def axis_order(old: Shape, new: Shape) -> list[int]:
    """Return the axes in the order of interpolation: first the one that shrinks most."""
    return sorted(range(3), key=lambda axis: new[axis] / old[axis])


def apply_weights(volume: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Multiply a weight matrix (new, old) along one axis of a volume."""
    weights = weights.to(volume.device)
    return torch.movedim(torch.tensordot(weights, volume, dims=([1], [axis])), 0, axis)


def axis_weights(old: int, new: int, kernel: Kernel, rows: range) -> tuple[int, Tensor]:
    """Weights of the old voxels in some new ones; voxel centres, edges repeated.

    Args:
        old: Voxels of the whole axis.
        new: Voxels of the whole resampled axis.
        kernel: Linear or cubic.
        rows: The new voxels.

    Returns:
        The first old voxel that they depend on, and the weights (row, old voxel) from it to the
        last.

    Source:
        Keys, Cubic convolution interpolation, 1981, eq. 15; widened for coarser grids.
    """
    scale = max(1.0, old / new)
    radius = (2.0 if kernel == "cubic" else 1.0) * scale
    centre = (np.arange(rows.start, rows.stop) + 0.5) * old / new - 0.5
    reach = int(np.ceil(radius))
    positions = np.floor(centre)[:, np.newaxis] + np.arange(-reach, reach + 2)
    distance = np.abs(positions - centre[:, np.newaxis]) / scale
    linear = np.maximum(0.0, 1.0 - distance)
    weights = _keys_cubic(distance) if kernel == "cubic" else linear
    weights /= weights.sum(axis=1, keepdims=True)
    columns = np.clip(positions, 0, old - 1).astype(np.intp)
    first = int(columns[0, 0])
    matrix = np.zeros((len(rows), int(columns[-1, -1]) + 1 - first))
    indices = np.broadcast_to(np.arange(len(rows))[:, np.newaxis], positions.shape)
    np.add.at(matrix, (indices, columns - first), weights)
    return first, torch.from_numpy(matrix.astype(np.float32))


def _keys_cubic(distance: Array) -> Array:
    inner = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    outer = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, inner, np.where(distance < 2, outer, 0.0))


def _spatial(array: Array | Tensor) -> Shape:
    z, y, x = array.shape[-3:]
    return z, y, x
