"""How often each class occurs in training patches; measured once, before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vesuv.config.data import SamplingConfig
from vesuv.config.labels import Targets
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import PatchSampler, patch_corner
from vesuv.runs.observation import ClassSampling
from vesuv.types import ClassArray

NUM_PATCHES = 64
"""Patches that are drawn; only their labels are read."""


def measure_class_sampling(
    cases: Sequence[PreparedCase], sampling: SamplingConfig, targets: Targets, seed: int
) -> dict[str, ClassSampling]:
    """Measure the foreground classes in patches that are drawn as in training, and in the cases.

    Args:
        cases: The training cases.
        sampling: Size of the patches and share that is centred on foreground.
        targets: The foreground classes, or the regions.
        seed: Seed of the patches.
    """
    probe_sampling = sampling.model_copy(update={"batch_size": NUM_PATCHES})
    sampler = PatchSampler.build(cases, probe_sampling, seed, targets)
    counts = np.array(
        [
            _class_counts(_patch_label(cases[plan.case], plan.center, sampling), targets)
            for plan in sampler.plan(0, 0)
        ]
    )
    volume_counts = np.sum([case.block_counts[:-1].sum(axis=(1, 2, 3)) for case in cases], axis=0)
    return {
        name: ClassSampling(
            patches=float((counts[:, members].sum(axis=1) > 0).mean()),
            patch_share=float(counts[:, members].sum() / max(1, counts.sum())),
            volume_share=float(volume_counts[list(members)].sum() / max(1, volume_counts.sum())),
        )
        for name, members in zip(targets.names, targets.members, strict=True)
    }


def _patch_label(
    case: PreparedCase, center: tuple[int, int, int], sampling: SamplingConfig
) -> ClassArray:
    """Read the label of a patch, without the part outside the case."""
    corner = patch_corner(center, case.shape, sampling.patch_size)
    box = tuple(
        slice(max(0, start), start + edge)
        for start, edge in zip(corner, sampling.patch_size, strict=True)
    )
    label: ClassArray = case.label[box]
    return label


def _class_counts(label: ClassArray, targets: Targets) -> list[int]:
    """Valid voxels of each class."""
    counts = np.bincount(label[label != IGNORE].ravel(), minlength=targets.num_classes)
    return [int(count) for count in counts[: targets.num_classes]]
