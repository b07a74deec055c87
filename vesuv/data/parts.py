"""Cases cut into parts, so that one volume alone has voxels to train on and others to judge on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vesuv.data.case import Case
from vesuv.data.case_paths import CasePaths
from vesuv.errors import InputError


def split_cases(cases: Sequence[CasePaths], num_parts: int) -> list[CasePaths]:
    """Replace each case by its parts, which are named <id>_part1, <id>_part2 …"""
    if num_parts == 1:
        return list(cases)
    return [
        replace(case, id=f"{case.id}_part{index + 1}", part=(index, num_parts))
        for case in cases
        for index in range(num_parts)
    ]


def cut_part(case: Case, index: int, num_parts: int) -> Case:
    """Return one of the parts that a case's longest axis is cut into, without common voxels.

    Raises:
        InputError: The axis has fewer voxels than parts.
    """
    shape = case.label.shape
    axis = shape.index(max(shape))
    if shape[axis] < num_parts:
        raise InputError(
            f"data.parts: case {case.id} has {shape[axis]} voxels along its longest axis, found "
            f"{num_parts} parts; lower it"
        )
    start, stop = (shape[axis] * place // num_parts for place in (index, index + 1))
    first = case.image.ndim - 3  # behind the channels
    return replace(
        case,
        image=np.moveaxis(np.moveaxis(case.image, first + axis, 0)[start:stop], 0, first + axis),
        label=np.moveaxis(np.moveaxis(case.label, axis, 0)[start:stop], 0, axis),
    )
