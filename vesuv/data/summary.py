"""What the labels hold, counted before anybody chooses a loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vesuv.config.data import LabelsConfig
from vesuv.data.store import StoredCase

VERSION = 1
Census = dict[str, Any]
Counts = npt.NDArray[np.int64]


def take_census(
    cases: Sequence[StoredCase], labels: LabelsConfig, patch_size: tuple[int, int, int]
) -> Census:
    """Count label values, classes and patches with foreground, over all and by case and group.

    Shares of `values` are of all voxels in the files. `classes` and `foreground` are shares of the
    stored voxels that are judged, `ignore` of all. `patches` counts every place of a patch at steps
    of one block that holds a judged voxel.

    Args:
        cases: Prepared cases.
        labels: The label schema.
        patch_size: Patch edges in voxels, rounded to whole blocks.

    Returns:
        JSON types only.
    """
    tallies = {case.id: _Tally.of_case(case, patch_size) for case in cases}
    groups: dict[str, list[_Tally]] = {}
    for case in cases:
        if case.group is not None:
            groups.setdefault(case.group, []).append(tallies[case.id])
    return {
        "version": VERSION,
        "patch_size": list(patch_size),
        "num_cases": len(cases),
        **_Tally.sum(tallies.values()).shares(labels),
        "groups": {
            name: {"num_cases": len(members), **_Tally.sum(members).shares(labels)}
            for name, members in sorted(groups.items())
        },
        "cases": {
            case.id: {
                "group": case.group,
                "shape": list(case.shape),
                "spacing": list(case.spacing),
                **tallies[case.id].shares(labels),
            }
            for case in cases
        },
    }


class _Tally:
    """Whole numbers that add up over cases."""

    def __init__(
        self, values: dict[int, int], classes: Counts, voxels: int, patches: tuple[int, int]
    ) -> None:
        self.values, self.classes, self.voxels, self.patches = values, classes, voxels, patches

    @classmethod
    def of_case(cls, case: StoredCase, patch_size: tuple[int, int, int]) -> _Tally:
        counts = case.block_counts
        window = [max(1, round(edge / case.block_size)) for edge in patch_size]
        foreground = _window_sums(counts[1:-1].sum(axis=0), window)
        valid = _window_sums(counts[-1], window)
        patches = (int((foreground > 0).sum()), int((valid > 0).sum()))
        voxels = int(np.prod(case.shape, dtype=np.int64))
        return cls(case.values, counts[:-1].sum(axis=(1, 2, 3)), voxels, patches)

    @classmethod
    def sum(cls, tallies: Iterable[_Tally]) -> _Tally:
        parts = list(tallies)
        values: dict[int, int] = {}
        for part in parts:
            for value, number in part.values.items():
                values[value] = values.get(value, 0) + number
        classes: Counts = np.sum([part.classes for part in parts], axis=0)
        held = sum(part.patches[0] for part in parts), sum(part.patches[1] for part in parts)
        return cls(values, classes, sum(part.voxels for part in parts), held)

    def shares(self, labels: LabelsConfig) -> Census:
        valid = int(self.classes.sum())
        in_files = sum(self.values.values())
        by_class = zip(labels.names, self.classes.tolist(), strict=True)
        return {
            "voxels": self.voxels,
            "values": {str(v): _share(n, in_files) for v, n in sorted(self.values.items())},
            "classes": {name: _share(number, valid) for name, number in by_class},
            "ignore": _share(self.voxels - valid, self.voxels),
            "foreground": _share(int(self.classes[1:].sum()), valid),
            "patches_with_foreground": _share(*self.patches),
        }


def _window_sums(blocks: Counts, window: Sequence[int]) -> Counts:
    """Sum over every place of a window of blocks; a shorter axis has one place."""
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
