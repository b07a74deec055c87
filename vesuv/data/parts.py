"""Cases cut into parts, so that one volume alone has voxels to train on and others to judge on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vesuv.data.case import Case
from vesuv.data.case_paths import CasePaths
from vesuv.errors import InputError
from vesuv.io.lazy import Voxels
from vesuv.types import Array, Region, Shape


def split_cases(cases: Sequence[CasePaths], num_parts: int) -> list[CasePaths]:
    """Replace each case by its parts, which are named <id>_part1, <id>_part2 …"""
    if num_parts == 1:
        return list(cases)
    return [
        replace(case, id=part_name(case.id, index), part=(index, num_parts))
        for case in cases
        for index in range(num_parts)
    ]


def part_name(case_id: str, index: int) -> str:
    """Return the id of a part of a case."""
    return f"{case_id}_part{index + 1}"


def cut_part(case: Case, index: int, num_parts: int) -> Case:
    """Return one of the parts that a case's longest axis is cut into, without common voxels.

    Raises:
        InputError: The axis has fewer voxels than parts.
    """
    axis, start, stop = _part_range(case.label.shape, case.id, index, num_parts)
    first = case.image.ndim - 3  # behind the channels
    return replace(
        case,
        image=np.moveaxis(np.moveaxis(case.image, first + axis, 0)[start:stop], 0, first + axis),
        label=np.moveaxis(np.moveaxis(case.label, axis, 0)[start:stop], 0, axis),
    )


def part_region(shape: Shape, name: str, index: int, num_parts: int) -> Region:
    """Return the voxels of a volume that one of its parts holds.

    Raises:
        InputError: As `cut_part`.
    """
    axis, start, stop = _part_range(shape, name, index, num_parts)
    z, y, x = (
        slice(start, stop) if one == axis else slice(0, edge) for one, edge in enumerate(shape)
    )
    return z, y, x


def part_of_voxels(voxels: Voxels, name: str, index: int, num_parts: int) -> PartVoxels:
    """Return what `cut_part` returns, of voxels that are not in memory.

    Raises:
        InputError: As `cut_part`.
    """
    return PartVoxels(voxels, *_part_range(voxels.shape[1:], name, index, num_parts))


@dataclass(frozen=True)
class PartVoxels:
    """A range of an axis of voxels that are not in memory."""

    voxels: Voxels
    axis: int
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        edges = list(self.voxels.shape)
        edges[1 + self.axis] = self.stop - self.start
        return edges[0], edges[1], edges[2], edges[3]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.voxels.dtype

    def read(self, region: Region) -> Array:
        parts = list(region)
        part = parts[self.axis]
        parts[self.axis] = slice(part.start + self.start, part.stop + self.start)
        return self.voxels.read((parts[0], parts[1], parts[2]))


def _part_range(
    shape: tuple[int, ...], name: str, index: int, num_parts: int
) -> tuple[int, int, int]:
    """Return the longest axis, and start and stop of a part along it."""
    axis = shape.index(max(shape))
    if shape[axis] < num_parts:
        raise InputError(
            f"data.parts: case {name} has {shape[axis]} voxels along its longest axis, found "
            f"{num_parts} parts; lower it"
        )
    start, stop = (shape[axis] * place // num_parts for place in (index, index + 1))
    return axis, start, stop
