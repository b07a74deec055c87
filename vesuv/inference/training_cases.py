"""Input volumes that the networks may have been trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from vesuv.data.layouts import case_of
from vesuv.errors import InputError
from vesuv.inference.inputs import InputVolume
from vesuv.inference.members import Member
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


def _cases(member: Member) -> set[str]:
    """Return the ids of a run's training cases, of parts those of their volumes."""
    if member.bundle_files is not None:
        return set()
    with suppress(InputError):
        cases = RunFolder(member.folder).facts.train_cases
        return {_PART.sub("", case) if member.config.data.parts > 1 else case for case in cases}
    return set()
