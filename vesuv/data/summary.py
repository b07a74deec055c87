"""Summary of a data set's labels: shares of values, classes and patches with foreground."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesuv.config.labels import LabelsConfig
from vesuv.data.case import PreparedCase
from vesuv.data.records import VERSION, CaseShares, DatasetSummary, GroupShares
from vesuv.types import Shape

CountArray = NDArray[np.int64]


def summarise_cases(
    cases: Sequence[PreparedCase], labels: LabelsConfig, patch_size: Shape
) -> DatasetSummary:
    """Count label values, classes and patches with foreground: over all, by group and by case.

    Patches are counted at every position, in steps of one block, where they hold a valid voxel.

    Args:
        cases: Prepared cases.
        labels: The label schema.
        patch_size: Patch edges in voxels, rounded to whole blocks.
    """
    counts = {case.id: _count(case, patch_size) for case in cases}
    groups: dict[str, list[_LabelCounts]] = {}
    for case in cases:
        if case.group is not None:
            groups.setdefault(case.group, []).append(counts[case.id])
    return DatasetSummary(
        version=VERSION,
        patch_size=patch_size,
        num_cases=len(cases),
        groups={
            name: GroupShares(num_cases=len(group_counts), **_sum(group_counts).shares(labels))
            for name, group_counts in sorted(groups.items())
        },
        cases={
            case.id: CaseShares(
                group=case.group,
                shape=case.shape,
                spacing=case.spacing,
                **counts[case.id].shares(labels),
            )
            for case in cases
        },
        **_sum(counts.values()).shares(labels),
    )


@dataclass(frozen=True)
class _LabelCounts:
    """Counts of one case or of several.

    Args:
        values: Label value -> voxels in the files.
        classes: Stored voxels of each class.
        voxels: Stored voxels.
        patches: Patches with a valid voxel.
        foreground_patches: Patches with foreground.
    """

    values: Counter[int]
    classes: CountArray
    voxels: int
    patches: int
    foreground_patches: int

    def shares(self, labels: LabelsConfig) -> dict[str, Any]:
        """Return the fields of a `LabelShares`."""
        num_valid = int(self.classes.sum())
        num_in_files = sum(self.values.values())
        by_class = zip(labels.names, self.classes.tolist(), strict=True)
        return {
            "voxels": self.voxels,
            "values": {
                value: _share(count, num_in_files) for value, count in sorted(self.values.items())
            },
            "classes": {name: _share(count, num_valid) for name, count in by_class},
            "ignore": _share(self.voxels - num_valid, self.voxels),
            "foreground": _share(int(self.classes[1:].sum()), num_valid),
            "patches_with_foreground": _share(self.foreground_patches, self.patches),
        }


def _count(case: PreparedCase, patch_size: Shape) -> _LabelCounts:
    blocks = case.block_counts
    window = [max(1, round(edge / case.block_size)) for edge in patch_size]
    return _LabelCounts(
        values=Counter(case.values),
        classes=blocks[:-1].sum(axis=(1, 2, 3)),
        voxels=int(np.prod(case.shape, dtype=np.int64)),
        patches=int((_window_sums(blocks[-1], window) > 0).sum()),
        foreground_patches=int((_window_sums(blocks[1:-1].sum(axis=0), window) > 0).sum()),
    )


def _sum(parts: Iterable[_LabelCounts]) -> _LabelCounts:
    parts = list(parts)
    return _LabelCounts(
        values=sum((part.values for part in parts), Counter()),
        classes=np.sum([part.classes for part in parts], axis=0),
        voxels=sum(part.voxels for part in parts),
        patches=sum(part.patches for part in parts),
        foreground_patches=sum(part.foreground_patches for part in parts),
    )


def _window_sums(blocks: CountArray, window: Sequence[int]) -> CountArray:
    """Sum over a window of blocks at every position; an axis shorter than it has one position."""
    sums = blocks
    for axis, width in enumerate(window):
        total = np.cumsum(sums, axis=axis)
        length = min(width, sums.shape[axis])
        first = np.zeros_like(np.take(total, [0], axis=axis))
        padded = np.concatenate([first, total], axis=axis)
        upper = np.take(padded, range(length, padded.shape[axis]), axis=axis)
        lower = np.take(padded, range(padded.shape[axis] - length), axis=axis)
        sums = upper - lower
    return sums


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
