"""Flips, quarter turns, rotation and scaling, drawn before anything is read.

A patch that is only flipped or turned is an index permutation of the very voxels it covers. A
rotated or scaled one is a single affine map, symmetry included, that samples image and label
together from the smallest box that holds what it needs.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vesuv.config.data import AugmentConfig
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import Voxel

_JUDGED = 7 / 8 + 1e-4
"""The nearest voxel weighs at least 1/8 in a trilinear sum, so a sample with more than 7/8 of its
weight on labelled voxels has a labelled nearest voxel."""


@dataclass(frozen=True)
class Spatial:
    """Where each voxel of a patch comes from."""

    order: Voxel
    """Axis of the volume that becomes axis i of the patch."""
    flips: tuple[bool, bool, bool]
    """Patch axes that run backwards."""
    matrix: tuple[tuple[float, float, float], ...] | None
    """Offsets from the patch centre -> offsets in the volume, in voxels, symmetry included; None
    when order and flips say it all."""

    def margin(self, patch_size: Voxel) -> Voxel:
        """Return voxels to read beyond the patch on each side of (z, y, x), negative if fewer."""
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
    patch_size: Voxel,
    spacing: tuple[float, float, float],
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
    warp = _rotation(angles) * scale[None, :] / scale[:, None] / zoom
    symmetry = np.zeros((3, 3))
    symmetry[list(order), [0, 1, 2]] = np.where(flips, -1.0, 1.0)
    rows = [(float(a), float(b), float(c)) for a, b, c in warp @ symmetry]
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
    spatial: Spatial,
    center: tuple[float, float, float],
    patch_size: Voxel,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Sample image and label of a rotated or scaled patch in one pass.

    Classes are interpolated linearly as one-hot channels and decided by majority (foreground
    against background first, then between foreground classes), which keeps a sheet of two voxels
    whole where nearest-neighbour sampling frays it.

    Args:
        image: Normalised float32, (c, z, y, x); 0 is taken outside of it.
        label: Class index or IGNORE, (z, y, x); IGNORE is taken outside of it.
        spatial: Has a matrix.
        center: Position of the patch's centre in `image`, in voxels.
        patch_size: Size of the result.
        num_classes: Classes, background counted.

    Returns:
        Image (c, *patch_size) and uint8 label (*patch_size). A sample whose nearest voxel is
        ignored is ignored.
    """
    channels = image.shape[0]
    source = image.new_empty((1, channels + num_classes, *image.shape[1:]))
    source[0, :channels] = image
    for class_index in range(num_classes):
        source[0, channels + class_index] = label == class_index
    grid = _sampling_grid(spatial, center, patch_size, image)
    sampled = F.grid_sample(source, grid, mode="bilinear", align_corners=False)[0]
    return sampled[:channels], _decide(sampled[channels:])


def _decide(weights: Tensor) -> Tensor:
    """Class index from interpolated one-hot channels, (num_classes, z, y, x)."""
    foreground = weights[1:]
    total = foreground.sum(dim=0) if len(foreground) > 1 else foreground[0]
    present = total >= weights[0]
    if len(foreground) > 1:
        decided = (foreground.argmax(dim=0) + 1).mul_(present).to(torch.uint8)
    else:
        decided = present.to(torch.uint8)
    return decided.masked_fill_(total + weights[0] < _JUDGED, IGNORE)


def _sampling_grid(
    spatial: Spatial, center: tuple[float, float, float], patch_size: Voxel, image: Tensor
) -> Tensor:
    """Source positions in `grid_sample`'s terms, (1, z, y, x, 3), last dim (x, y, z) in [-1, 1]."""
    assert spatial.matrix is not None
    grid = image.new_empty((1, *patch_size, 3))
    for axis in range(3):
        length = image.shape[1 + axis]
        parts = []
        for dim, edge in enumerate(patch_size):
            offsets = torch.arange(edge, dtype=torch.float32, device=image.device) - (edge - 1) / 2
            shape = [edge if i == dim else 1 for i in range(3)]
            parts.append((offsets * (spatial.matrix[axis][dim] * 2 / length)).reshape(shape))
        parts[0] += (2 * center[axis] + 1) / length - 1
        torch.add(parts[0] + parts[1], parts[2], out=grid[0, ..., 2 - axis])
    return grid


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


def _draw_order(
    rng: np.random.Generator, patch_size: Voxel, spacing: tuple[float, float, float]
) -> Voxel:
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
