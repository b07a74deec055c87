"""Flips, quarter turns, rotation and scaling, drawn before anything is read.

A patch that is only flipped or turned is an index permutation of the very voxels it covers. A
rotated or scaled one is a single affine map that samples image and label together from the smallest
box that holds what it needs; the box is turned first, so that the sampling runs along memory.
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
"""Planes warped at a time on a CPU, so that intermediate results stay in its cache."""


@dataclass(frozen=True)
class Spatial:
    """Where each voxel of a patch comes from: first turned and flipped, then warped."""

    order: Shape
    """Axis of the volume that becomes axis i of the patch."""
    flips: tuple[bool, bool, bool]
    """Patch axes that run backwards."""
    matrix: Matrix | None
    """Offsets from the patch centre -> offsets in the turned volume, in voxels; None: the same."""

    def margin(self, patch_size: Shape) -> Shape:
        """Return voxels of the turned volume that are needed beyond each side of the patch.

        Negative where the patch needs fewer than its own size.
        """
        if self.matrix is None:
            return 0, 0, 0
        half = (np.array(patch_size) - 1) / 2
        reach = np.abs(np.array(self.matrix)) @ half
        z, y, x = (math.ceil(m) for m in reach - half - 1e-6)
        return z, y, x


IDENTITY = Spatial((0, 1, 2), (False, False, False), None)


def draw_spatial(
    rng: np.random.Generator,
    config: AugmentConfig,
    patch_size: Shape,
    spacing: Spacing,
) -> Spatial:
    """Draw a symmetry of the patch's grid and, for some patches, a rotation and a zoom.

    The zoom is uniform in its logarithm, so that enlarging and shrinking are equally likely for a
    range [1 / a, a]. Rotation is rigid in the unit of `spacing`.
    """
    flips = rng.random(3) < 0.5 if config.flips else np.zeros(3, dtype=bool)
    order = _draw_order(rng, patch_size, spacing) if config.quarter_turns else (0, 1, 2)
    angles = np.zeros(3)
    if rng.random() < config.rotation.p:
        angles = np.deg2rad(rng.uniform(-config.rotation.degrees, config.rotation.degrees, 3))
    zoom = 1.0
    if rng.random() < config.scaling.p:
        zoom = float(np.exp(rng.uniform(*np.log(config.scaling.range))))
    z, y, x = (bool(flip) for flip in flips)
    if zoom == 1.0 and not angles.any():
        return Spatial(order, (z, y, x), None)
    scale = np.array(spacing)
    matrix = _rotation(angles) * scale[None, :] / scale[:, None] / zoom
    rows = [(float(a), float(b), float(c)) for a, b, c in matrix]
    return Spatial(order, (z, y, x), tuple(rows))


def permute(volume: Tensor, spatial: Spatial) -> Tensor:
    """Turn and flip the last three dims by index permutation; the result is contiguous.

    On the CPU NumPy does it: its strided copy is two to three times as fast as PyTorch's.
    """
    lead = volume.ndim - 3
    dims = [*range(lead), *(lead + axis for axis in spatial.order)]
    if volume.device.type == "cpu":
        z, y, x = (slice(None, None, -1 if flip else 1) for flip in spatial.flips)
        turned: NDArray[np.generic] = volume.numpy().transpose(dims)[..., z, y, x]
        return torch.from_numpy(np.ascontiguousarray(turned))
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

    Classes are interpolated linearly and decided by majority (foreground against background first,
    then between foreground classes; ignored neighbours do not vote), which keeps a sheet of two
    voxels whole where nearest-neighbour sampling frays it.

    Args:
        image: Normalised float32, (c, z, y, x); 0 is taken outside of it.
        label: Class index or IGNORE, (z, y, x); IGNORE is taken outside of it.
        matrix: Offsets from the patch centre -> offsets in `image`.
        center: Position of the patch's centre in `image`, in voxels.
        patch_size: Size of the result.
        num_classes: Classes, background counted.

    Returns:
        Image (c, *patch_size) and uint8 label (*patch_size). A sample whose nearest voxel is
        ignored is ignored, all others are not.
    """
    channels = (*image, *_votes(label, num_classes))
    on_cpu = image.device.type == "cpu"
    source = _fold(channels) if on_cpu else torch.stack([c.float() for c in channels])[None]
    interpolate = _interpolate_folded if on_cpu else _interpolate
    warped = image.new_empty((image.shape[0], *patch_size))
    decided = label.new_empty(patch_size)
    depth = _SLAB if on_cpu else patch_size[0]
    for start in range(0, patch_size[0], depth):
        slab = slice(start, start + depth)
        positions = _positions(matrix, center, patch_size, slab, image.device)
        sampled = interpolate(source, positions, label.shape)
        warped[:, slab] = sampled[: image.shape[0]]
        ignored = _ignored_nearest(label, positions)
        decided[slab] = _decide(sampled[image.shape[0] :]).masked_fill_(ignored, IGNORE)
    return warped, decided


def _votes(label: Tensor, num_classes: int) -> tuple[Tensor, ...]:
    """Channels whose interpolation decides the class.

    Two classes: +1 on foreground, -1 on background, 0 on ignored. More: one channel a class. They
    are int8 until they are laid beside the image: a quarter of the bytes.
    """
    if num_classes > 2:
        return tuple((label == index).view(torch.int8) for index in range(num_classes))
    vote = (label == 1).view(torch.int8).mul_(2).sub_(1)
    return (vote.add_((label == IGNORE).view(torch.int8)),)


def _decide(votes: Tensor) -> Tensor:
    """Class index from interpolated votes."""
    if len(votes) == 1:
        return (votes[0] >= 0).to(torch.uint8)
    foreground = votes[1:]
    present = foreground.sum(dim=0) >= votes[0]
    return (foreground.argmax(dim=0) + 1).mul_(present).to(torch.uint8)


def _positions(
    matrix: Matrix,
    center: tuple[float, float, float],
    patch_size: Shape,
    slab: slice,
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor]:
    """Source z, y and x of every voxel of some planes of the patch, in voxels."""
    found = []
    for row, middle in zip(matrix, center, strict=True):
        total = torch.full((1, 1, 1), middle, device=device)
        for axis, (slope, edge) in enumerate(zip(row, patch_size, strict=True)):
            offsets = torch.arange(edge, dtype=torch.float32, device=device) - (edge - 1) / 2
            shape = [1, 1, 1]
            shape[axis] = -1
            total = total + (offsets[slab if axis == 0 else ...] * slope).reshape(shape)
        found.append(total)
    z, y, x = found
    return z, y, x


def _interpolate(source: Tensor, positions: Positions, shape: Sequence[int]) -> Tensor:
    """Sample trilinearly, 0 outside, from (1, channels, z, y, x)."""
    parts = [
        position * (2 / length) + (1 / length - 1)
        for position, length in zip(positions, shape, strict=True)
    ]
    grid = torch.stack(parts[::-1], dim=-1)[None]
    return F.grid_sample(source, grid, align_corners=False)[0]


def _fold(channels: Sequence[Tensor]) -> Tensor:
    """Lay channels out for `_interpolate_folded`: (z + 2, channel, y + 1, x), the rim empty."""
    depth, height, width = channels[0].shape
    source = channels[0].new_empty((depth + 2, len(channels), height + 1, width))
    source[0] = source[-1] = source[:, :, height] = 0
    for index, channel in enumerate(channels):
        source[1:-1, index, :height] = channel
    return source


def _interpolate_folded(source: Tensor, positions: Positions, shape: Sequence[int]) -> Tensor:
    """Sample trilinearly, 0 outside, by PyTorch's two-dimensional sampler.

    On a CPU that one is vectorised and the three-dimensional one is not. The volume is read as one
    tall image, plane under plane, each followed by an empty row; channels of plane z are followed
    by those of plane z + 1 at the same stride, so one call samples both planes and a lerp finishes
    the job. Positions are off by up to 0.005 voxel, float32's resolution on so tall an image.
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
    """Tell where the nearest voxel is ignored or outside."""
    outside = torch.zeros((), dtype=torch.bool, device=label.device)
    index = torch.zeros((), dtype=torch.int32, device=label.device)
    for position, length in zip(positions, label.shape, strict=True):
        nearest = position.round().to(torch.int32)
        kept = nearest.clamp(0, length - 1)
        outside = outside | (nearest != kept)
        index = torch.add(kept, index, alpha=length)
    return (label.take(index.to(torch.int64)) == IGNORE).logical_or_(outside)


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation about z, then y, then x."""
    product = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        product = turn @ product
    return product


def _draw_order(rng: np.random.Generator, patch_size: Shape, spacing: Spacing) -> Shape:
    """Draw uniformly among the axis orders that leave patch size and spacing as they are."""
    alike = [
        order
        for order in itertools.permutations(range(3))
        if all(
            patch_size[i] == patch_size[j] and math.isclose(spacing[i], spacing[j], rel_tol=1e-3)
            for i, j in enumerate(order)
        )
    ]
    z, y, x = alike[int(rng.integers(len(alike)))]
    return z, y, x
