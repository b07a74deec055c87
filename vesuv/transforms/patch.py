"""Reading of stored patches, and their normalisation and augmentation on any device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vesuv.config.data import AugmentConfig
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import PatchPlan, PatchSampler, patch_corner
from vesuv.transforms.intensity import IDENTITY_INTENSITY, IntensityTransform, draw_intensity
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.padding import pad_to_box
from vesuv.transforms.region import read_region
from vesuv.transforms.spatial import IDENTITY_SPATIAL, SpatialTransform, draw_spatial, permute, warp
from vesuv.types import Shape, Spacing


@dataclass(frozen=True)
class Transform:
    """Augmentation of one patch, drawn before the patch is read."""

    patch_size: Shape
    spatial: SpatialTransform = IDENTITY_SPATIAL
    intensity: IntensityTransform = IDENTITY_INTENSITY


@dataclass(frozen=True)
class RawPatch:
    """Stored voxels and the transform that makes the patch from them, on any device."""

    image: Tensor
    """(c, z, y, x), as stored, clipped to the volume."""
    label: Tensor
    """(z, y, x), clipped to the volume."""
    offset: Shape
    """Voxels of the box before the first one of `image`, per axis of the volume."""
    box: Shape
    """Edges of the requested box, which may extend beyond the volume."""
    transform: Transform

    def to(self, device: torch.device) -> RawPatch:
        image = self.image.to(device, non_blocking=True)
        label = self.label.to(device, non_blocking=True)
        return replace(self, image=image, label=label)

    def pin_memory(self) -> RawPatch:
        """Copy the voxels to page-locked memory; PyTorch's loader calls this."""
        return replace(self, image=self.image.pin_memory(), label=self.label.pin_memory())


def draw_transform(
    seed: int, config: AugmentConfig, patch_size: Shape, spacing: Spacing
) -> Transform:
    """Draw the augmentation of one patch, a pure function of the arguments."""
    rng = np.random.Generator(np.random.Philox(seed))
    spatial = draw_spatial(rng, config, patch_size, spacing)
    return Transform(patch_size, spatial, draw_intensity(rng, config))


def read_planned_patch(
    sampler: PatchSampler, plan: PatchPlan, augment: AugmentConfig | None
) -> RawPatch:
    """Draw the augmentation of a planned patch and read its voxels; None: no augmentation."""
    case, patch_size = sampler.cases[plan.case], sampler.sampling.patch_size
    transform = Transform(patch_size)
    if augment is not None:
        transform = draw_transform(plan.seed, augment, patch_size, case.spacing)
    return read_patch(case, patch_corner(plan.center, case.shape, patch_size), transform)


def read_patch(case: PreparedCase, corner: Shape, transform: Transform) -> RawPatch:
    """Read the smallest box of voxels that the transform of the patch at `corner` needs."""
    margin = [0, 0, 0]
    for axis, axis_margin in zip(
        transform.spatial.order, transform.spatial.margin(transform.patch_size), strict=True
    ):
        margin[axis] = axis_margin
    size = transform.patch_size
    z, y, x = (c - m for c, m in zip(corner, margin, strict=True))
    box_z, box_y, box_x = (s + 2 * m for s, m in zip(size, margin, strict=True))
    region = read_region(case, (z, y, x), (box_z, box_y, box_x))
    image, label = torch.from_numpy(region.image), torch.from_numpy(region.label)
    return RawPatch(image, label, region.offset, region.size, transform)


def apply_transform(
    patch: RawPatch, intensity_map: IntensityMap, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Normalise and augment a patch.

    Stored voxels are turned first, since they take the fewest bytes; then they are normalised, then
    padded or warped.

    Returns:
        Image (c, *patch_size) float32, where voxels outside the volume repeat its nearest one, and
        uint8 label (*patch_size), IGNORE outside the volume.
    """
    spatial, size = patch.transform.spatial, patch.transform.patch_size
    image = intensity_map.apply(permute(patch.image, spatial))
    label = permute(patch.label, spatial)
    before = _turned_offset(patch)
    box = size if spatial.matrix is None else tuple(patch.box[axis] for axis in spatial.order)
    image, label = pad_to_box(image, before, box, "edge"), pad_to_box(label, before, box, IGNORE)
    if spatial.matrix is not None:
        z, y, x = ((edge - 1) / 2 for edge in box)
        image, label = warp(image, label, spatial.matrix, (z, y, x), size, num_classes)
    return patch.transform.intensity.apply(image), label


def _turned_offset(patch: RawPatch) -> list[int]:
    """Return the offset of the arrays in the box after turning, per axis of the patch."""
    spatial = patch.transform.spatial
    return [
        patch.box[axis] - patch.label.shape[axis] - patch.offset[axis]
        if flip
        else patch.offset[axis]
        for axis, flip in zip(spatial.order, spatial.flips, strict=True)
    ]
