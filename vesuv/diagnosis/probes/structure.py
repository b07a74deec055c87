"""Structure of the labels, and the effect of each augmentation; measured once, before training."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vesuv.config.data import AugmentConfig, SamplingConfig
from vesuv.config.labels import Targets
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import PatchPlan, PatchSampler
from vesuv.runs.observation import AugmentationEffect, Structure
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.patch import apply_transform, read_planned_patch
from vesuv.types import ClassArray, Mask, Shape

_Patch = tuple[Tensor, Tensor]
"""Image (c, z, y, x) and label (z, y, x)."""

_AUGMENTATIONS = ("rotation", "scaling", "noise", "blur", "low_resolution")
"""Augmentations that can erase a structure; flips, turns and grey curves cannot."""
_MIN_VOXELS = 50
"""Fewest voxels of foreground, and of background beside it, that a contrast is measured on."""
_MIN_CONTRAST = 0.1
"""Smallest contrast, in standard deviations, whose change is measured."""
_CROP = 160
"""Edge of the central box of a case that is measured."""
_NUM_CASES = 4


def measure_structures(cases: Sequence[PreparedCase], targets: Targets) -> dict[str, Structure]:
    """Measure spacing and thickness of each foreground class in the central box of some cases.

    Args:
        cases: The training cases.
        targets: The foreground classes, or the regions.
    """
    labels = [
        np.array(case.label[_central_box(case.shape)])
        for case in list(cases)[:: max(1, -(-len(cases) // _NUM_CASES))]
    ]
    depths, heights, widths = zip(*(case.shape for case in cases), strict=True)
    extent = min(depths), min(heights), min(widths)
    return {
        name: _measure_target(labels, members).model_copy(update={"extent": extent})
        for name, members in zip(targets.names, targets.members, strict=True)
    }


def _central_box(shape: Shape) -> tuple[slice, ...]:
    starts = [max(0, edge // 2 - _CROP // 2) for edge in shape]
    return tuple(slice(start, start + _CROP) for start in starts)


def _measure_target(labels: Sequence[ClassArray], members: Sequence[int]) -> Structure:
    distances: tuple[list[int], list[int], list[int]] = ([], [], [])
    thicknesses: list[float] = []
    for label in labels:
        foreground = np.isin(label, list(members))
        for axis in range(3):
            repeats = repeat_distances(foreground, label == IGNORE, axis)
            distances[axis].extend(repeats if label.shape[axis] > 1 else [1])
        if foreground.any():
            thicknesses.append(thickness(foreground))
    spacing = tuple(
        float(np.median(axis_distances)) for axis_distances in distances if axis_distances
    )
    return Structure(
        spacing=spacing if len(spacing) == 3 else None,
        thickness=median(thicknesses) if thicknesses else None,
    )


def repeat_distances(foreground: Mask, ignored: Mask, axis: int) -> list[int]:
    """Return the distances between consecutive starts of foreground along an axis.

    Distances across an ignored voxel are left out: foreground may start there unseen.
    """
    lines = np.moveaxis(foreground, axis, -1).reshape(-1, foreground.shape[axis])
    num_ignored = np.cumsum(np.moveaxis(ignored, axis, -1).reshape(lines.shape), axis=1)
    starts = lines.copy()
    starts[:, 1:] &= ~lines[:, :-1]
    starts[:, 0] = False  # foreground at the edge may have started before it
    row, place = np.nonzero(starts)
    same_line = row[1:] == row[:-1]
    no_ignored_between = num_ignored[row[1:], place[1:]] == num_ignored[row[:-1], place[:-1]]
    distances: list[int] = (place[1:] - place[:-1])[same_line & no_ignored_between].tolist()
    return distances


def run_lengths(mask: Mask, axis: int) -> NDArray[np.int32]:
    """Return for each voxel of the mask the length of its run along an axis; 0 outside."""
    index = np.arange(mask.shape[axis], dtype=np.int32)
    index = index.reshape([-1 if i == axis else 1 for i in range(3)])
    last_outside = np.maximum.accumulate(np.where(mask, -1, index), axis=axis)
    outside_index = np.where(mask, mask.shape[axis], index)
    next_outside = np.flip(np.minimum.accumulate(np.flip(outside_index, axis), axis=axis), axis)
    lengths: NDArray[np.int32] = np.where(mask, next_outside - last_outside - 1, 0).astype(np.int32)
    return lengths


def thickness(mask: Mask) -> float:
    """Return the median over the mask's voxels of the shortest run along any axis.

    An axis of one voxel has no runs, as in a volume of one slice.
    """
    axes = [axis for axis in range(3) if mask.shape[axis] > 1] or [0]
    shortest = np.minimum.reduce([run_lengths(mask, axis) for axis in axes])
    return float(np.median(shortest[mask]))


def measure_augmentation(
    cases: Sequence[PreparedCase],
    maps: Sequence[IntensityMap],
    sampling: SamplingConfig,
    augment: AugmentConfig,
    targets: Targets,
    num_patches: int,
    *,
    seed: int,
) -> dict[str, AugmentationEffect]:
    """Apply each augmentation alone to the same patches and compare with the patches as read.

    Augmentations that are off, or whose effect the patches do not show, are left out. Of several
    foreground classes the effect on the class that is damaged most is returned.
    """
    num_classes = targets.num_classes
    probe_sampling = sampling.model_copy(update={"batch_size": num_patches})
    sampler = PatchSampler.build(cases, probe_sampling, seed, targets)
    plans = sampler.plan(0, 0)
    no_augmentation = _single_augmentation(augment, None)
    original = [
        _augmented_patch(sampler, plan, maps, no_augmentation, num_classes) for plan in plans
    ]
    effects = {}
    for name in _AUGMENTATIONS:
        if not getattr(augment, name).p:
            continue
        single = _single_augmentation(augment, name)
        augmented = [_augmented_patch(sampler, plan, maps, single, num_classes) for plan in plans]
        effect = _worst_effect(getattr(augment, name).p, original, augmented, targets)
        if effect is not None:
            effects[name] = effect
    return effects


def _worst_effect(
    p: float, original: list[_Patch], augmented: list[_Patch], targets: Targets
) -> AugmentationEffect | None:
    """Effect on the foreground class, or region, that is damaged most."""
    if not targets.has_several:
        return _effect(p, original, augmented)
    effects = []
    for name, members in zip(targets.names, targets.members, strict=True):
        old, new = (
            [_only_target(patch, members) for patch in part] for part in (original, augmented)
        )
        effect = _effect(p, old, new)
        if effect is not None:
            effects.append(effect.model_copy(update={"class_name": name}))
    return min(
        effects,
        key=lambda effect: min(effect.foreground, effect.contrast, effect.thickness),
        default=None,
    )


def _only_target(patch: _Patch, members: Sequence[int]) -> _Patch:
    """Ignore all foreground but that of one target, which becomes class 1."""
    image, label = patch
    inside = torch.isin(label, torch.tensor(members, dtype=label.dtype))
    only = torch.where(inside, torch.ones_like(label), label)
    return image, only.masked_fill((label > 0) & ~inside, IGNORE)


def contrast(image: Tensor, label: Tensor) -> tuple[float, float] | None:
    """Return the contrast between foreground and the background within three voxels of it.

    Args:
        image: (c, z, y, x); the first channel is measured.
        label: (z, y, x).

    Returns:
        Difference of means, and the same in standard deviations; None with too few voxels.
    """
    foreground = (label > 0) & (label != IGNORE)
    dilated = F.max_pool3d(foreground[None, None].float(), 7, stride=1, padding=3)[0, 0] > 0
    nearby = dilated & (label == 0)
    if min(int(foreground.sum()), int(nearby.sum())) < _MIN_VOXELS:
        return None
    foreground_values, background_values = image[0][foreground], image[0][nearby]
    difference = float(foreground_values.mean() - background_values.mean())
    std = float(((foreground_values.var() + background_values.var()) / 2).sqrt())
    return difference, difference / max(std, 1e-6)


def _single_augmentation(augment: AugmentConfig, name: str | None) -> AugmentConfig:
    """The configuration with one augmentation applied to every patch, all others off."""
    changes: dict[str, object] = {"flips": False, "quarter_turns": False}
    for key in AugmentConfig.model_fields:
        section = getattr(augment, key)
        if hasattr(section, "p"):
            update = {"p": 1.0 if key == name else 0.0}
            if hasattr(section, "p_inverted"):
                update["p_inverted"] = 0.0
            changes[key] = section.model_copy(update=update)
    return augment.model_copy(update=changes)


def _augmented_patch(
    sampler: PatchSampler,
    plan: PatchPlan,
    maps: Sequence[IntensityMap],
    augment: AugmentConfig,
    num_classes: int,
) -> _Patch:
    return apply_transform(read_planned_patch(sampler, plan, augment), maps[plan.case], num_classes)


def _effect(p: float, original: list[_Patch], augmented: list[_Patch]) -> AugmentationEffect | None:
    shares = [
        _foreground_share([label for _, label in patches]) for patches in (original, augmented)
    ]
    contrasts, thicknesses = [], []
    for old_patch, new_patch in zip(original, augmented, strict=True):
        old_contrast, new_contrast = contrast(*old_patch), contrast(*new_patch)
        if old_contrast is None or new_contrast is None or abs(old_contrast[1]) < _MIN_CONTRAST:
            continue
        contrasts.append(min(new_contrast[0] / old_contrast[0], new_contrast[1] / old_contrast[1]))
        pair = [
            thickness(((label > 0) & (label != IGNORE)).numpy())
            for _, label in (old_patch, new_patch)
        ]
        thicknesses.append(pair[1] / pair[0])
    if not contrasts or not shares[0]:
        return None
    return AugmentationEffect(
        p=p,
        foreground=shares[1] / shares[0],
        contrast=median(contrasts),
        thickness=sum(thicknesses) / len(thicknesses),
    )


def _foreground_share(labels: list[Tensor]) -> float:
    num_valid = sum(int((label != IGNORE).sum()) for label in labels)
    num_foreground = sum(int(((label > 0) & (label != IGNORE)).sum()) for label in labels)
    return num_foreground / max(1, num_valid)
