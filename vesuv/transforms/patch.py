"""From a region as stored to an augmented, normalised patch, on whatever device it lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vesuv.config.data import AugmentConfig
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import PatchPlan, PatchSampler, patch_corner
from vesuv.transforms.intensity import UNCHANGED, Intensity, draw_intensity
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.padding import placed
from vesuv.transforms.region import read_region
from vesuv.transforms.spatial import IDENTITY, Spatial, draw_spatial, permute, warp
from vesuv.types import Shape, Spacing


@dataclass(frozen=True)
class Transform:
    """Everything that is done to one patch; drawn before the patch is read."""

    patch_size: Shape
    spatial: Spatial = IDENTITY
    intensity: Intensity = UNCHANGED


@dataclass(frozen=True)
class RawPatch:
    """What was read for a transform: enough to finish the patch on another device."""

    image: Tensor
    """(c, z, y, x), as stored, cut to the volume."""
    label: Tensor
    """(z, y, x), cut to the volume."""
    offset: Shape
    """Voxels of the box before the first one of `image`, per axis of the volume."""
    box: Shape
    """Edges of the box that was asked for."""
    transform: Transform

    def to(self, device: torch.device) -> RawPatch:
        """Move the voxels."""
        image = self.image.to(device, non_blocking=True)
        label = self.label.to(device, non_blocking=True)
        return replace(self, image=image, label=label)

    def pin_memory(self) -> RawPatch:
        """Copy the voxels to page-locked memory; PyTorch's loader calls this."""
        return replace(self, image=self.image.pin_memory(), label=self.label.pin_memory())


def draw(seed: int, config: AugmentConfig, patch_size: Shape, spacing: Spacing) -> Transform:
    """Draw the augmentation of one patch: the same for the same arguments."""
    rng = np.random.Generator(np.random.Philox(seed))
    spatial = draw_spatial(rng, config, patch_size, spacing)
    return Transform(patch_size, spatial, draw_intensity(rng, config))


def read_planned(sampler: PatchSampler, plan: PatchPlan, augment: AugmentConfig | None) -> RawPatch:
    """Draw the augmentation of a planned patch and read what it needs; None augments nothing."""
    case, patch_size = sampler.cases[plan.case], sampler.sampling.patch_size
    transform = Transform(patch_size)
    if augment is not None:
        transform = draw(plan.seed, augment, patch_size, case.spacing)
    return read(case, patch_corner(plan.center, case.shape, patch_size), transform)


def read(case: PreparedCase, corner: Shape, transform: Transform) -> RawPatch:
    """Read the box of voxels that the transform of the patch at `corner` needs, and no more."""
    margin = [0, 0, 0]
    for axis, reach in zip(
        transform.spatial.order, transform.spatial.margin(transform.patch_size), strict=True
    ):
        margin[axis] = reach
    size = transform.patch_size
    z, y, x = (c - m for c, m in zip(corner, margin, strict=True))
    box_z, box_y, box_x = (s + 2 * m for s, m in zip(size, margin, strict=True))
    region = read_region(case, (z, y, x), (box_z, box_y, box_x))
    image, label = torch.from_numpy(region.image), torch.from_numpy(region.label)
    return RawPatch(image, label, region.offset, region.size, transform)


def apply(patch: RawPatch, intensity_map: IntensityMap, num_classes: int) -> tuple[Tensor, Tensor]:
    """Normalise and augment.

    Voxels are turned as stored, when they are fewest bytes, then normalised, then padded or warped.

    Returns:
        Image (c, *patch_size) float32, 0 outside the volume before the intensity effects, and uint8
        label (*patch_size), IGNORE outside the volume.
    """
    spatial, size = patch.transform.spatial, patch.transform.patch_size
    image = intensity_map.apply(permute(patch.image, spatial))
    label = permute(patch.label, spatial)
    before = _offset_after_turning(patch)
    if spatial.matrix is not None:
        z, y, x = (
            (patch.box[axis] - 1) / 2 - b for axis, b in zip(spatial.order, before, strict=True)
        )
        image, label = warp(image, label, spatial.matrix, (z, y, x), size, num_classes)
    else:
        image, label = placed(image, before, size), placed(label, before, size, IGNORE)
    return patch.transform.intensity.apply(image), label


def _offset_after_turning(patch: RawPatch) -> list[int]:
    """Voxels of the turned box before the first one of the turned arrays."""
    spatial = patch.transform.spatial
    return [
        patch.box[axis] - patch.label.shape[axis] - patch.offset[axis]
        if flip
        else patch.offset[axis]
        for axis, flip in zip(spatial.order, spatial.flips, strict=True)
    ]
