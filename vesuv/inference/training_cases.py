"""Input volumes that the networks may have been trained on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

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
    trained = {name for member in members for name in _file_names(member)}
    names = [printable(volume.id) for volume in volumes if volume.id in trained]
    if not names:
        return None
    shown = ", ".join(names[:_MAX_NAMES]) + (" …" if len(names) > _MAX_NAMES else "")
    verb, role = ("has", "a training case") if len(names) == 1 else ("have", "training cases")
    return (
        f"{number_of(len(names), 'volume')} {verb} the name of {role} ({shown}): if they are the "
        "same, their scores are no test"
    )


def _file_names(member: Member) -> Iterator[str]:
    """Yield the names without ending that the images of a run's training cases have."""
    if member.bundle_files is not None:
        return
    data = member.config.data
    with suppress(InputError):
        for case in RunFolder(member.folder).facts.train_cases:
            name = _PART.sub("", case) if data.parts > 1 else case
            yield name
            if data.layout == "pairs":
                yield f"{name}_{data.images}"
