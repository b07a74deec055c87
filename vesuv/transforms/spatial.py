"""Flips, quarter turns, rotation and scaling of patches, drawn before the patch is read.

A patch that is only flipped or turned is an index permutation of its voxels. A rotated or scaled
patch is sampled by one affine map, image and label together, from the smallest box that holds all
samples. This box is flipped and turned first, so that the sampling reads contiguous memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vesuv.config.data import AugmentConfig
from vesuv.data.labels import IGNORE
from vesuv.types import Shape, Spacing

Matrix = tuple[tuple[float, float, float], ...]
Positions = tuple[Tensor, Tensor, Tensor]

_SLAB = 8
"""Number of planes warped together on a CPU, so that intermediate results fit in its cache."""


@dataclass(frozen=True)
class SpatialTransform:
    """Spatial augmentation of one patch: axis permutation and flips first, then an affine map."""

    order: Shape
    """Axis of the volume that becomes axis i of the patch."""
    flips: tuple[bool, bool, bool]
    """True for each patch axis that is reversed."""
    matrix: Matrix | None
    """Map from offsets to the patch centre to offsets in the turned volume, in voxels; None: the
    identity."""

    def margin(self, patch_size: Shape) -> Shape:
        """Return the number of voxels of the turned volume needed beyond each side of the patch.

        It is negative where the patch needs fewer voxels than its own size.
        """
        if self.matrix is None:
            return 0, 0, 0
        half = (np.array(patch_size) - 1) / 2
        reach = np.abs(np.array(self.matrix)) @ half
        z, y, x = (math.ceil(m) for m in reach - half - 1e-6)
        return z, y, x


IDENTITY_SPATIAL = SpatialTransform((0, 1, 2), (False, False, False), None)


def draw_spatial(
    rng: np.random.Generator,
    config: AugmentConfig,
    patch_size: Shape,
    spacing: Spacing,
) -> SpatialTransform:
    """Draw flips and quarter turns and, for some patches, a rotation and a zoom.

    The logarithm of the zoom is uniform, so that enlarging and shrinking are equally likely for a
    range [1 / a, a]. The rotation is rigid in the unit of `spacing`. A patch of one slice is turned
    and flipped in its plane alone.
    """
    has_several = np.array(patch_size) > 1
    flips = (rng.random(3) < 0.5) & has_several if config.flips else np.zeros(3, dtype=bool)
    order = _draw_order(rng, patch_size, spacing) if config.quarter_turns else (0, 1, 2)
    angles = np.zeros(3)
    if rng.random() < config.rotation.p:
        angles = np.deg2rad(rng.uniform(-config.rotation.degrees, config.rotation.degrees, 3))
        angles *= [has_several[[1, 2]].all(), has_several[[0, 2]].all(), has_several[:2].all()]
    zoom = 1.0
    if rng.random() < config.scaling.p:
        zoom = float(np.exp(rng.uniform(*np.log(config.scaling.range))))
    z, y, x = (bool(flip) for flip in flips)
    if zoom == 1.0 and not angles.any():
        return SpatialTransform(order, (z, y, x), None)
    scale = np.array(spacing)
    matrix = _rotation(angles) * scale[None, :] / scale[:, None] / zoom
    rows = [(float(a), float(b), float(c)) for a, b, c in matrix]
    return SpatialTransform(order, (z, y, x), tuple(rows))


def permute(volume: Tensor, spatial: SpatialTransform) -> Tensor:
    """Turn and flip the last three dims by index permutation; the result is contiguous.

    On a CPU this uses NumPy, whose strided copy is two to three times as fast as PyTorch's.
    """
    lead = volume.ndim - 3
    dims = [*range(lead), *(lead + axis for axis in spatial.order)]
    if volume.device.type == "cpu":
        z, y, x = (slice(None, None, -1 if flip else 1) for flip in spatial.flips)
        turned: NDArray[np.generic] = volume.numpy().transpose(dims)[..., z, y, x]
        return torch.from_numpy(turned.copy())  # has no negative stride, even of one voxel
    return volume.permute(dims).flip([lead + i for i in range(3) if spatial.flips[i]]).contiguous()


def warp(
    image: Tensor,
    label: Tensor,
    matrix: Matrix,
    center: tuple[float, float, float],
    patch_size: Shape,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Sample image and label of a rotated or scaled patch in one pass.

    The class of a sample is the majority of its linearly interpolated neighbours: foreground
    against background first, then between foreground classes; ignored neighbours have no vote. This
    keeps a sheet of two voxels connected, where nearest-neighbour sampling breaks it.

    Args:
        image: Normalised float32, (c, z, y, x); 0 outside.
        label: Class index or IGNORE, (z, y, x); IGNORE outside.
        matrix: Map from offsets to the patch centre to offsets in `image`.
        center: Position of the patch's centre in `image`, in voxels.
        patch_size: Size of the result.
        num_classes: Number of classes, with background.

    Returns:
        Image (c, *patch_size) and uint8 label (*patch_size). A sample is ignored exactly if its
        nearest voxel is ignored or outside.
    """
    channels = (*image, *_vote_channels(label, num_classes))
    on_cpu = image.device.type == "cpu"
    source = _stack_planes(channels) if on_cpu else torch.stack([c.float() for c in channels])[None]
    interpolate = _interpolate_stacked if on_cpu else _interpolate
    warped_image = image.new_empty((image.shape[0], *patch_size))
    warped_label = label.new_empty(patch_size)
    depth = _SLAB if on_cpu else patch_size[0]
    for start in range(0, patch_size[0], depth):
        slab = slice(start, start + depth)
        positions = _positions(matrix, center, patch_size, slab, image.device)
        sampled = interpolate(source, positions, label.shape)
        warped_image[:, slab] = sampled[: image.shape[0]]
        ignored = _ignored_nearest(label, positions)
        classes = _majority_class(sampled[image.shape[0] :])
        warped_label[slab] = classes.masked_fill_(ignored, IGNORE)
    return warped_image, warped_label


def _vote_channels(label: Tensor, num_classes: int) -> tuple[Tensor, ...]:
    """Return int8 channels whose interpolation gives the votes for each class.

    Two classes: one channel, +1 on foreground, -1 on background, 0 on ignored voxels. More classes:
    one channel per class.
    """
    if num_classes > 2:
        return tuple((label == index).view(torch.int8) for index in range(num_classes))
    vote = (label == 1).view(torch.int8).mul_(2).sub_(1)
    return (vote.add_((label == IGNORE).view(torch.int8)),)


def _majority_class(votes: Tensor) -> Tensor:
    """Return the class index of each sample from its interpolated votes."""
    if len(votes) == 1:
        return (votes[0] >= 0).to(torch.uint8)
    foreground_votes = votes[1:]
    is_foreground = foreground_votes.sum(dim=0) >= votes[0]
    return (foreground_votes.argmax(dim=0) + 1).mul_(is_foreground).to(torch.uint8)


def _positions(
    matrix: Matrix,
    center: tuple[float, float, float],
    patch_size: Shape,
    slab: slice,
    device: torch.device,
) -> Positions:
    """Return the source position of every voxel in the planes `slab` of the patch, in voxels."""
    positions = []
    for row, center_position in zip(matrix, center, strict=True):
        position = torch.full((1, 1, 1), center_position, device=device)
        for axis, (slope, edge) in enumerate(zip(row, patch_size, strict=True)):
            offsets = torch.arange(edge, dtype=torch.float32, device=device) - (edge - 1) / 2
            shape = [1, 1, 1]
            shape[axis] = -1
            position = position + (offsets[slab if axis == 0 else ...] * slope).reshape(shape)
        positions.append(position)
    z, y, x = positions
    return z, y, x


def _interpolate(source: Tensor, positions: Positions, shape: Sequence[int]) -> Tensor:
    """Sample trilinearly, 0 outside, from (1, channels, z, y, x)."""
    coordinates = [
        position * (2 / length) + (1 / length - 1)
        for position, length in zip(positions, shape, strict=True)
    ]
    grid = torch.stack(coordinates[::-1], dim=-1)[None]
    return F.grid_sample(source, grid, align_corners=False)[0]


def _stack_planes(channels: Sequence[Tensor]) -> Tensor:
    """Copy channels to (z + 2, channel, y + 1, x) for `_interpolate_stacked`; zeros outside."""
    depth, height, width = channels[0].shape
    source = channels[0].new_empty((depth + 2, len(channels), height + 1, width))
    source[0] = source[-1] = source[:, :, height] = 0
    for index, channel in enumerate(channels):
        source[1:-1, index, :height] = channel
    return source


def _interpolate_stacked(source: Tensor, positions: Positions, shape: Sequence[int]) -> Tensor:
    """Sample trilinearly, 0 outside, with PyTorch's 2D sampler.

    On a CPU the 2D sampler is vectorised and the 3D sampler is not. The volume is viewed as one
    tall image: its planes are stacked along y, each followed by a row of zeros. Channels of plane
    z + 1 follow those of plane z at the same stride, so one call samples both planes, and a lerp
    interpolates between them. Positions along y have the resolution of float32 numbers in such a
    tall image: errors up to 0.006 voxel at 50,000 rows, 0.024 at 260,000.
    """
    depth, height, width = shape
    num = source.shape[1]
    block = height + 1
    rows = (depth * num + 1) * block
    z, y, x = positions
    z = z.clamp(-1, depth)
    lower = z.floor().clamp_(max=depth - 1)
    row = (lower + 1).mul_(num * block).add_(y.clamp(-1, height))
    grid = torch.empty((*row.shape, 2))
    torch.add(x * (2 / width), 1 / width - 1, out=grid[..., 0])
    torch.add(row.mul_(2 / rows), 1 / rows - 1, out=grid[..., 1])
    image = source.as_strided((1, 2 * num, rows, width), (0, block * width, width, 1))
    sampled = F.grid_sample(image, grid.flatten(0, 1)[None], align_corners=False)
    below, above = sampled.view(2, num, *row.shape)
    return torch.lerp(below, above, z.sub_(lower))


def _ignored_nearest(label: Tensor, positions: Positions) -> Tensor:
    """Return a mask of the positions whose nearest voxel is ignored or outside."""
    outside = torch.zeros((), dtype=torch.bool, device=label.device)
    index = torch.zeros((), dtype=torch.int32, device=label.device)
    for position, length in zip(positions, label.shape, strict=True):
        nearest = position.round().to(torch.int32)
        clamped = nearest.clamp(0, length - 1)
        outside = outside | (nearest != clamped)
        index = torch.add(clamped, index, alpha=length)
    return (label.take(index.to(torch.int64)) == IGNORE).logical_or_(outside)


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix of a rotation about z, then y, then x."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        axis_rotation = np.eye(3)
        axis_rotation[a, a] = axis_rotation[b, b] = math.cos(angle)
        axis_rotation[a, b], axis_rotation[b, a] = -math.sin(angle), math.sin(angle)
        matrix = axis_rotation @ matrix
    return matrix


def exchangeable_orders(patch_size: Shape, spacing: Spacing) -> list[Shape]:
    """Return the axis orders that do not change patch size and spacing; the unchanged one first."""
    return [
        (z, y, x)
        for z, y, x in itertools.permutations(range(3))
        if all(
            patch_size[i] == patch_size[j] and math.isclose(spacing[i], spacing[j], rel_tol=1e-3)
            for i, j in enumerate((z, y, x))
        )
    ]


def _draw_order(rng: np.random.Generator, patch_size: Shape, spacing: Spacing) -> Shape:
    """Draw uniformly among the exchangeable axis orders."""
    orders = exchangeable_orders(patch_size, spacing)
    return orders[int(rng.integers(len(orders)))]
