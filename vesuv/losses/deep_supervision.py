"""Compound loss of a network that predicts at several scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.losses.compound import Compound
from vesuv.losses.prediction import SINGLE_PROCESS, Processes


def deep_supervision(
    compound: Compound,
    scales: Sequence[Tensor],
    label: Tensor,
    valid: Tensor,
    weights: Mapping[str, float],
    processes: Processes = SINGLE_PROCESS,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted mean of the compound loss over the scales, and the terms of the finest.

    Scale i weighs 1/2**i, normalised to a sum of 1; only the finest one has auxiliary losses.
    Networks with `deep_supervision` leave out their lowest scale. Radii and other lengths of the
    losses are voxels of each scale.

    Args:
        compound: The losses.
        scales: Logits (b, k, z, y, x), finest first.
        label: Class index of each voxel of the finest scale, (b, z, y, x).
        valid: False where the label is ignored, (b, z, y, x).
        weights: Weight by loss name.
        processes: The processes that share the batch.

    Source:
        Isensee et al. 2021, nnU-Net, whose weights these are; its labels are nearest samples, which
        lose sheets of one or two voxels.
    """
    label = compound.target_label(label)
    sum_of_shares = 2.0 - 0.5 ** (len(scales) - 1)
    totals, terms = [], []
    mask_weights = {name: weight for name, weight in weights.items() if name in compound.mask_terms}
    for number, logits in enumerate(scales):
        scaled = downsample_label(label, valid, logits.shape[2:])
        scale_weights = mask_weights if number else weights
        total, values = compound(logits, *scaled, scale_weights, processes)
        totals.append(total * (0.5**number / sum_of_shares))
        terms.append(values)
    return torch.stack(totals).sum(), terms[0]


def downsample_label(label: Tensor, valid: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return label and valid mask of a coarser scale, where any foreground makes a foreground.

    A coarse voxel has the highest class index of its valid voxels; it is ignored if all its voxels
    are. Regions are downsampled each.

    Args:
        label: Class index (b, z, y, x), or regions, boolean (b, k, z, y, x).
        valid: (b, z, y, x).
        shape: Voxels (z, y, x) of the coarser scale.
    """
    if tuple(valid.shape[1:]) == tuple(shape):
        return label, valid
    is_regions = label.ndim > valid.ndim
    mask = valid.unsqueeze(1)
    channels = label if is_regions else label.unsqueeze(1)
    pooled = _max_pool(channels * mask, shape).to(label.dtype)
    return pooled if is_regions else pooled[:, 0], _max_pool(mask, shape)[:, 0].bool()


def _max_pool(values: Tensor, shape: Sequence[int]) -> Tensor:
    size = (shape[0], shape[1], shape[2])
    return F.adaptive_max_pool3d(values.float(), size)
