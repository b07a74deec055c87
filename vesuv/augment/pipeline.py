"""From a region as stored to an augmented, normalised patch, on whatever device it lies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.augment.intensity import UNCHANGED, Intensity, draw_intensity
from vesuv.augment.spatial import IDENTITY, Spatial, draw_spatial, permute, warp
from vesuv.config.data import AugmentConfig
from vesuv.data.labels import IGNORE
from vesuv.data.normalize import IntensityMap
from vesuv.data.sampling import Voxel, read_region
from vesuv.data.store import StoredCase


@dataclass(frozen=True)
class Transform:
    """Everything that is done to one patch; drawn before the patch is read."""

    patch_size: Voxel
    spatial: Spatial = IDENTITY
    intensity: Intensity = UNCHANGED


@dataclass(frozen=True)
class RawPatch:
    """What was read for a transform: enough to finish the patch on another device."""

    image: Tensor
    """(c, z, y, x), as stored, cut to the volume."""
    label: Tensor
    """(z, y, x), cut to the volume."""
    offset: Voxel
    """Voxels of the transform's box before the first voxel of `image`."""
    transform: Transform

    def to(self, device: torch.device) -> RawPatch:
        """Move the voxels."""
        image = self.image.to(device, non_blocking=True)
        label = self.label.to(device, non_blocking=True)
        return RawPatch(image, label, self.offset, self.transform)

    def pin_memory(self) -> RawPatch:
        """Copy the voxels to page-locked memory; PyTorch's loader calls this."""
        return RawPatch(
            self.image.pin_memory(), self.label.pin_memory(), self.offset, self.transform
        )


def draw(
    seed: int, config: AugmentConfig, patch_size: Voxel, spacing: tuple[float, float, float]
) -> Transform:
    """Draw the augmentation of one patch: the same for the same arguments."""
    rng = np.random.Generator(np.random.Philox(seed))
    spatial = draw_spatial(rng, config, patch_size, spacing)
    return Transform(patch_size, spatial, draw_intensity(rng, config))


def read(case: StoredCase, corner: Voxel, transform: Transform) -> RawPatch:
    """Read the box of voxels that the transform of the patch at `corner` needs, and no more."""
    margin = transform.spatial.margin(transform.patch_size)
    region = read_region(
        case,
        _triple(c - m for c, m in zip(corner, margin, strict=True)),
        _triple(s + 2 * m for s, m in zip(transform.patch_size, margin, strict=True)),
    )
    image, label = torch.from_numpy(region.image), torch.from_numpy(region.label)
    return RawPatch(image, label, region.offset, transform)


def apply(patch: RawPatch, intensity_map: IntensityMap, num_classes: int) -> tuple[Tensor, Tensor]:
    """Normalise and augment.

    Returns:
        Image (c, *patch_size) float32, 0 outside the volume before the intensity effects, and uint8
        label (*patch_size), IGNORE outside the volume.
    """
    transform = patch.transform
    if transform.spatial.matrix is None:
        image, label = _cut(patch, intensity_map)
    else:
        margin = transform.spatial.margin(transform.patch_size)
        z, y, x = (
            (edge - 1) / 2 + m - offset
            for edge, m, offset in zip(transform.patch_size, margin, patch.offset, strict=True)
        )
        image, label = warp(
            intensity_map.apply(patch.image),
            patch.label,
            transform.spatial,
            (z, y, x),
            transform.patch_size,
            num_classes,
        )
    return transform.intensity.apply(image), label


def _cut(patch: RawPatch, intensity_map: IntensityMap) -> tuple[Tensor, Tensor]:
    """Permute the voxels as stored (few bytes), then normalise, then pad."""
    spatial, size = patch.transform.spatial, patch.transform.patch_size
    image = intensity_map.apply(permute(patch.image, spatial))
    label = permute(patch.label, spatial)
    if tuple(label.shape) == size:
        return image, label
    pad: list[int] = []
    for i in reversed(range(3)):
        before = patch.offset[spatial.order[i]]
        after = size[i] - label.shape[i] - before
        pad += [after, before] if spatial.flips[i] else [before, after]
    return F.pad(image, pad), F.pad(label, pad, value=IGNORE)


def _triple(values: Iterable[int]) -> Voxel:
    z, y, x = values
    return z, y, x
