"""Read the files of one case and check that image and label lie on one grid."""

from __future__ import annotations

from vesuv.data.case import Case
from vesuv.data.case_paths import CasePaths
from vesuv.data.parts import cut_part
from vesuv.errors import InputError
from vesuv.io.formats import read
from vesuv.io.grid import check_same_grid, read_channels


def read_case(files: CasePaths) -> Case:
    """Read image and label of a case, which must lie on one grid.

    Raises:
        InputError: A file cannot be used; the message names it and the reason.
    """
    if files.label is None:
        raise InputError(f"case {files.id}: has no label; training cases need one")
    geometry, image = read_channels(files.images)
    label = read(files.label)
    check_same_grid((files.label, label), (files.images[0], geometry))
    if len(label.channels) != 1:
        raise InputError(
            f"{files.label}: a label has one channel, found {len(label.channels)}; give one "
            "integer map"
        )
    case = Case(
        files.id,
        image,
        label.channels[0],
        geometry.spacing,
        files.group,
        geometry.unit,
        geometry.direction,
    )
    return case if files.part is None else cut_part(case, *files.part)
