"""What the labels hold, and what augmentation leaves of it; measured once, before training."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vesuv.config.data import AugmentConfig, SamplingConfig
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import PatchPlan, PatchSampler
from vesuv.runs.records import AugmentationEffect, Structure
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.patch import apply, read_planned
from vesuv.types import Mask

_EFFECTS = ("rotation", "scaling", "noise", "blur", "low_resolution")
"""What can erase a structure; flips, turns and grey curves cannot."""
_FEWEST_VOXELS = 50
"""Of foreground and of the background beside it, from which a contrast is told."""
_LEAST_CONTRAST = 0.1
"""Standard deviations below which there is no contrast to lose."""
_CROP = 160
"""Edge of what is measured of a case, about its middle."""
_CASES = 4


def measure_structure(cases: Sequence[PreparedCase]) -> Structure:
    """Measure spacing and thickness of the foreground in the middle of some cases."""
    gaps: tuple[list[int], list[int], list[int]] = ([], [], [])
    ways: list[float] = []
    for case in list(cases)[:: max(1, -(-len(cases) // _CASES))]:
        box = tuple(
            slice(max(0, n // 2 - _CROP // 2), max(0, n // 2 - _CROP // 2) + _CROP)
            for n in case.shape
        )
        label = np.array(case.label[box])
        foreground = (label > 0) & (label != IGNORE)
        for axis in range(3):
            gaps[axis].extend(starts_apart(foreground, label == IGNORE, axis))
        if foreground.any():
            ways.append(thickness(foreground))
    spacing = tuple(float(np.median(found)) for found in gaps if found)
    return Structure(
        spacing=spacing if len(spacing) == 3 else None, thickness=median(ways) if ways else None
    )


def starts_apart(foreground: Mask, ignored: Mask, axis: int) -> list[int]:
    """Return the distances from where foreground begins to where it begins again along an axis.

    Those with an ignored voxel between them are left out: what lies there is not known.
    """
    lines = np.moveaxis(foreground, axis, -1).reshape(-1, foreground.shape[axis])
    hidden = np.cumsum(np.moveaxis(ignored, axis, -1).reshape(lines.shape), axis=1)
    begins = lines.copy()
    begins[:, 1:] &= ~lines[:, :-1]
    begins[:, 0] = False  # where it begins is not seen
    row, place = np.nonzero(begins)
    same = row[1:] == row[:-1]
    clear = hidden[row[1:], place[1:]] == hidden[row[:-1], place[:-1]]
    apart: list[int] = (place[1:] - place[:-1])[same & clear].tolist()
    return apart


def run_lengths(mask: Mask, axis: int) -> NDArray[np.int32]:
    """Return for each voxel of the mask how long the run along an axis is that it lies in."""
    index = np.arange(mask.shape[axis], dtype=np.int32)
    index = index.reshape([-1 if i == axis else 1 for i in range(3)])
    before = np.maximum.accumulate(np.where(mask, -1, index), axis=axis)
    beyond = np.where(mask, mask.shape[axis], index)
    after = np.flip(np.minimum.accumulate(np.flip(beyond, axis), axis=axis), axis)
    lengths: NDArray[np.int32] = np.where(mask, after - before - 1, 0).astype(np.int32)
    return lengths


def thickness(mask: Mask) -> float:
    """Return the shortest way along an axis through each voxel of the mask: the median of them."""
    shortest = np.minimum.reduce([run_lengths(mask, axis) for axis in range(3)])
    return float(np.median(shortest[mask]))


def measure_augmentation(
    cases: Sequence[PreparedCase],
    maps: Sequence[IntensityMap],
    sampling: SamplingConfig,
    augment: AugmentConfig,
    num_classes: int,
    num_patches: int,
    seed: int,
) -> dict[str, AugmentationEffect]:
    """Apply each augmentation by itself to the same patches and compare with the patches as read.

    An augmentation that is off is left out, and so is one about which the patches say nothing.
    """
    wanted = sampling.model_copy(update={"batch_size": num_patches})
    sampler = PatchSampler.build(cases, wanted, seed)
    plans = sampler.plan(0, 0)
    still = _only(augment, None)
    before = [_patch(sampler, plan, maps, still, num_classes) for plan in plans]
    effects = {}
    for name in _EFFECTS:
        if not getattr(augment, name).p:
            continue
        alone = _only(augment, name)
        after = [_patch(sampler, plan, maps, alone, num_classes) for plan in plans]
        effect = _effect(getattr(augment, name).p, before, after)
        if effect is not None:
            effects[name] = effect
    return effects


def contrast(image: Tensor, label: Tensor) -> tuple[float, float] | None:
    """Return how far foreground stands out from the background within three voxels of it.

    Args:
        image: (c, z, y, x); the first channel counts.
        label: (z, y, x).

    Returns:
        Difference of means, and the same in standard deviations; None where there is too little.
    """
    foreground = (label > 0) & (label != IGNORE)
    grown = F.max_pool3d(foreground[None, None].float(), 7, stride=1, padding=3)[0, 0] > 0
    beside = grown & (label == 0)
    if min(int(foreground.sum()), int(beside.sum())) < _FEWEST_VOXELS:
        return None
    inside, outside = image[0][foreground], image[0][beside]
    gap = float(inside.mean() - outside.mean())
    spread = float(((inside.var() + outside.var()) / 2).sqrt())
    return gap, gap / max(spread, 1e-6)


def _only(augment: AugmentConfig, name: str | None) -> AugmentConfig:
    """The configuration with one augmentation applied to every patch, and nothing else."""
    changed: dict[str, object] = {"flips": False, "quarter_turns": False}
    for key in AugmentConfig.model_fields:
        section = getattr(augment, key)
        if hasattr(section, "p"):
            update = {"p": 1.0 if key == name else 0.0}
            if hasattr(section, "p_inverted"):
                update["p_inverted"] = 0.0
            changed[key] = section.model_copy(update=update)
    return augment.model_copy(update=changed)


def _patch(
    sampler: PatchSampler,
    plan: PatchPlan,
    maps: Sequence[IntensityMap],
    augment: AugmentConfig,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    return apply(read_planned(sampler, plan, augment), maps[plan.case], num_classes)


def _effect(
    p: float, before: list[tuple[Tensor, Tensor]], after: list[tuple[Tensor, Tensor]]
) -> AugmentationEffect | None:
    shares = [_foreground_share([label for _, label in patches]) for patches in (before, after)]
    contrasts, ways = [], []
    for old, new in zip(before, after, strict=True):
        was, now = contrast(*old), contrast(*new)
        if was is None or now is None or abs(was[1]) < _LEAST_CONTRAST:
            continue
        contrasts.append(min(now[0] / was[0], now[1] / was[1]))
        thick = [thickness(((label > 0) & (label != IGNORE)).numpy()) for _, label in (old, new)]
        ways.append(thick[1] / thick[0])
    if not contrasts or not shares[0]:
        return None
    return AugmentationEffect(
        p=p,
        foreground=shares[1] / shares[0],
        contrast=median(contrasts),
        thickness=sum(ways) / len(ways),
    )


def _foreground_share(labels: list[Tensor]) -> float:
    judged = sum(int((label != IGNORE).sum()) for label in labels)
    held = sum(int(((label > 0) & (label != IGNORE)).sum()) for label in labels)
    return held / max(1, judged)
