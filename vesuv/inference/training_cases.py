"""What inputs share with the training cases: volumes of one name, and levels of OME-Zarr."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vesuv.data.layouts import case_of
from vesuv.errors import InputError
from vesuv.inference.inputs import InputVolume
from vesuv.inference.members import Member
from vesuv.io.formats import suffix
from vesuv.io.printable import number_of, printable
from vesuv.runs.folder import RunFolder

_PART = re.compile(r"_part\d+$")
_MAX_NAMES = 3


def training_case_note(members: Sequence[Member], volumes: Sequence[InputVolume]) -> str | None:
    """Name the volumes that have the names of training cases; None where there is none.

    Runs without a record of their cases, and bundles, are left out.
    """
    trained = [(_cases(member), member.config.data) for member in members]
    names = [
        printable(volume.id)
        for volume in volumes
        if any(cases & {volume.id, case_of(volume.id, data)} for cases, data in trained)
    ]
    if not names:
        return None
    shown = ", ".join(names[:_MAX_NAMES]) + (" …" if len(names) > _MAX_NAMES else "")
    verb, role = ("has", "a training case") if len(names) == 1 else ("have", "training cases")
    return (
        f"{number_of(len(names), 'volume')} {verb} the name of {role} ({shown}): if they are the "
        "same, their scores are no test"
    )


def level_note(members: Sequence[Member], level: int, files: Sequence[str | Path]) -> str | None:
    """Say where networks were trained on another level of OME-Zarr than is predicted.

    Args:
        members: Networks.
        level: Level of the inputs.
        files: The inputs; other formats than Zarr have no levels.

    Returns:
        A sentence; None where levels are equal, or the training cases may have had none.
    """
    settings = [member.config.data for member in members]
    levels = sorted({one.level for one in settings if one.level or one.layout == "ome_zarr"})
    if levels in ([], [level]) or not any(suffix(file) == ".zarr" for file in files):
        return None
    return (
        f"level {level} of OME-Zarr is predicted, and data.level of the training cases is "
        f"{' and '.join(map(str, levels))}: --level chooses another one"
    )


def _cases(member: Member) -> set[str]:
    """Return the ids of a run's training cases, of parts those of their volumes."""
    if member.bundle_files is not None:
        return set()
    with suppress(InputError):
        cases = RunFolder(member.folder).facts.train_cases
        return {_PART.sub("", case) if member.config.data.parts > 1 else case for case in cases}
    return set()
