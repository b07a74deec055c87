"""Reader of best.json, the file of find_best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from vesuv.errors import InputError, command
from vesuv.inference.members import Member, check_compatible, open_member
from vesuv.io.tables import read_json
from vesuv.migrations import RECORD
from vesuv.runs.fields import Record, Share, first_fault
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import (
    ChainRecord,
    SelectedCalibration,
    SelectedCut,
    SelectedInference,
    SelectedModel,
)


class _BestMember(Record):
    run: str
    checkpoint: str
    checkpoint_sha256: str


class BestFile(Record):
    """best.json."""

    members: tuple[_BestMember, ...] = Field(min_length=1)
    threshold: Share | None
    postprocess: ChainRecord
    classes: dict[str, SelectedCut] | None = None
    inference: SelectedInference | None = None
    calibration: SelectedCalibration | None = None


def open_best(path: Path, changes: Sequence[str] = ()) -> list[Member]:
    """Read the ensemble of a best.json; each member has the ensemble's threshold and steps.

    Args:
        path: File.
        changes: `section.key=value`, see `vesuv.inference.members.trained_config`.

    Raises:
        InputError: The file is missing or invalid, or one of its runs is missing.
    """
    best = read_best(path)
    members = []
    for one in best.members:
        selected = SelectedModel.model_construct(
            checkpoint=one.checkpoint,
            threshold=best.threshold,
            checkpoint_sha256=one.checkpoint_sha256,
            postprocess=best.postprocess,
            classes=best.classes,
            inference=best.inference,
            calibration=best.calibration,
        )
        members.append(
            open_member(RunFolder.open(Path(one.run)), one.checkpoint, selected, changes)
        )
    check_compatible(members)
    return members


def read_best(path: Path) -> BestFile:
    """Read a best.json.

    Raises:
        InputError: It is missing or invalid.
    """
    content = RECORD.migrated(read_json(path), path)
    try:
        return BestFile.model_validate(content)
    except ValidationError as fault:
        raise InputError(
            f"--best: {path} is not what find_best writes ({first_fault(fault)}); write it "
            f"anew with {command('find_best')}"
        ) from None
