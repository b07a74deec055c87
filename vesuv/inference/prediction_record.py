"""provenance.json of a folder of masks: which volumes are finished, and what may be replaced."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vesuv.errors import InputError
from vesuv.inference.domain_shift import DomainShift
from vesuv.inference.inputs import InputVolume
from vesuv.inference.prediction_settings import PredictionSettings
from vesuv.inference.provenance import PROVENANCE, file_record
from vesuv.io.formats import mask_suffix, stem
from vesuv.io.tables import read_json_or_none, write_json
from vesuv.runs.fields import Record

PROBABILITIES = "probabilities"
"""Folder of the probabilities, below that of the masks."""
UNCERTAINTY = "uncertainty"
"""Folder of the uncertainty, below that of the masks."""


class FileRecord(Record):
    """A file of an input."""

    path: str
    bytes: int
    sha256: str | None = None
    """None for a .zarr folder."""
    content: str | None = None
    """Digest of a .zarr folder; None for a file, and in records of former versions."""

    def is_same(self, other: FileRecord) -> bool:
        """Return whether the contents are equal, as far as both records tell."""
        has_digests = None not in (self.content, other.content)
        is_same_size = (self.bytes, self.sha256) == (other.bytes, other.sha256)
        return is_same_size and (not has_digests or self.content == other.content)


class ShiftRecord(Record):
    """One way in which a volume differs from those of training."""

    kind: str
    message: str


class InputRecord(Record):
    """A volume whose mask is written."""

    id: str
    files: tuple[FileRecord, ...]
    level: int = 0
    """Level of an OME-Zarr image."""
    warnings: tuple[ShiftRecord, ...] = ()
    """How the volume differs from those of training."""

    @property
    def output_name(self) -> str:
        """File name of the mask."""
        return self.id + (mask_suffix(self.files[0].path) if self.files else "")

    def has_same_voxels(self, other: InputRecord) -> bool:
        """Return whether the contents are equal, wherever the files lie."""
        if (self.level, len(self.files)) != (other.level, len(other.files)):
            return False
        return all(one.is_same(two) for one, two in zip(self.files, other.files, strict=True))


class _Earlier(PredictionSettings):
    """The parts of a folder's provenance.json that a further prediction depends on."""

    inputs: tuple[InputRecord, ...] = ()
    unfinished: tuple[str, ...] = ()
    submission: str | None = None


@dataclass(frozen=True)
class PredictionRecord:
    """provenance.json, written before the first volume and after each one.

    Args:
        folder: Folder of the masks.
        settings: Content of `vesuv.inference.provenance.provenance`.
        submission: Zip file of this call.
        command: The command that called it.
        finished: Id -> record of each volume whose files are all written.
        unfinished: Ids of volumes whose files may be missing or, after a kill, not all written.
        done_before: Ids of this call's volumes that an earlier call has finished.
    """

    folder: Path
    settings: Mapping[str, Any]
    submission: Path | None
    command: str | None
    finished: dict[str, InputRecord]
    unfinished: set[str]
    done_before: frozenset[str]

    def finish(self, volume: InputVolume, shifts: Sequence[DomainShift] = ()) -> None:
        """Record that all files of a volume are written, and how it differs from training."""
        warnings = tuple(ShiftRecord(kind=one.kind, message=one.message) for one in shifts)
        record = input_record(volume)
        self.finished[volume.id] = record.model_copy(update={"warnings": warnings})
        self.unfinished.discard(volume.id)
        self.write()

    def write(self) -> None:
        """Write the file.

        Raises:
            InputError: It cannot be written.
        """
        inputs = [self.finished[name] for name in sorted(self.finished)]
        content = {
            "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": self.command,
            **self.settings,
            "submission": None if self.submission is None else self.submission.resolve(),
            "inputs": [one.model_dump(mode="json", exclude_defaults=True) for one in inputs],
            "unfinished": sorted(self.unfinished),
        }
        write_json(self.folder / PROVENANCE, content)


def open_record(
    folder: Path,
    settings: Mapping[str, Any],
    volumes: Sequence[InputVolume],
    *,
    submission: Path | None = None,
    command: str | None = None,
    overwrite: bool = False,
) -> PredictionRecord:
    """Compare a prediction with what its folder holds; nothing is written.

    Volumes that an earlier call with the same settings and inputs has finished are done. Files that
    such a call has left unfinished are written again.

    Args:
        folder: Folder of the masks.
        settings: Content of `vesuv.inference.provenance.provenance`.
        volumes: Volumes to predict.
        submission: Zip file to write.
        command: The command that is called.
        overwrite: Replace existing files.

    Raises:
        InputError: Other files would be replaced, and `overwrite` is False.
    """
    earlier = _read(folder)
    difference = None if earlier is None else earlier.difference(PredictionSettings.of(settings))
    own = earlier if difference is None else None
    finished = {one.id: one for one in own.inputs} if own else {}
    unfinished = set(own.unfinished) if own else set()
    done: set[str] = set()
    if not overwrite:
        kinds = {name: settings[name] for name in (PROBABILITIES, UNCERTAINTY)}
        files = {one.id: output_files(folder, one, **kinds) for one in volumes}
        done = {one.id for one in volumes if _is_done(one, finished, files[one.id])}
        in_the_way = [
            path
            for one in volumes
            if one.id not in done | unfinished and not _lost_its_mask(one, finished, files[one.id])
            for path in files[one.id]
            if path.exists()
        ]
        if in_the_way:
            raise _refusal(in_the_way, difference, finished, volumes)
        _check_other_masks(folder, earlier, difference)
        _check_submission(submission, own)
    names = {volume.id for volume in volumes} - done
    others = {name: one for name, one in finished.items() if name not in names}
    return PredictionRecord(
        folder, settings, submission, command, others, unfinished | names, frozenset(done)
    )


def input_record(volume: InputVolume) -> InputRecord:
    """Return the record of a volume, with a digest of each file."""
    files = [{key: str(v) if key == "path" else v for key, v in file_record(path).items()}
             for path in volume.files]  # fmt: skip
    return InputRecord.model_validate({"id": volume.id, "files": files, "level": volume.level})


def _read(folder: Path) -> _Earlier | None:
    """Return the earlier record; None without one that vesuv wrote."""
    content = read_json_or_none(folder / PROVENANCE)
    try:
        return None if content is None else _Earlier.model_validate(content)
    except ValidationError:
        return None


def output_files(
    folder: Path, volume: InputVolume, *, probabilities: bool, uncertainty: bool = False
) -> list[Path]:
    """Return the files of a volume: mask, then probabilities, then uncertainty."""
    folders = [PROBABILITIES] * probabilities + [UNCERTAINTY] * uncertainty
    others = [folder / name / volume.probabilities_name for name in folders]
    return [folder / volume.output_name, *others]


def _is_done(
    volume: InputVolume, finished: Mapping[str, InputRecord], files: Sequence[Path]
) -> bool:
    if volume.id not in finished or not all(path.exists() for path in files):
        return False
    return finished[volume.id].has_same_voxels(input_record(volume))


def _lost_its_mask(
    volume: InputVolume, finished: Mapping[str, InputRecord], files: Sequence[Path]
) -> bool:
    """Whether the mask of a finished volume was removed, so that it is to be predicted again."""
    return volume.id in finished and not files[0].exists()


def _refusal(
    in_the_way: Sequence[Path],
    difference: str | None,
    finished: Mapping[str, InputRecord],
    volumes: Sequence[InputVolume],
) -> InputError:
    names = {stem(volume.output_name): volume.id for volume in volumes}
    if difference is not None:
        reason = f"predicted with {difference}"
    elif names[stem(in_the_way[0])] in finished:
        reason = "predicted from an input that has changed since"
    else:
        reason = f"not recorded in {PROVENANCE}"
    others = f" and {len(in_the_way) - 1} more of its files exist" if in_the_way[1:] else " exists"
    return InputError(
        f"--output: {in_the_way[0]}{others} already ({reason}); name another folder, or replace "
        "with --overwrite"
    )


def _check_other_masks(folder: Path, earlier: _Earlier | None, difference: str | None) -> None:
    """Refuse to replace the record of other masks, which have other settings."""
    if earlier is None or difference is None:
        return
    masks = [one.output_name for one in earlier.inputs if (folder / one.output_name).exists()]
    if masks:
        raise InputError(
            f"--output: {folder / PROVENANCE} is the record of {len(masks)} masks there, first "
            f"{masks[0]}, predicted with {difference}; name another folder, or replace the record "
            "with --overwrite"
        )


def _check_submission(path: Path | None, own: _Earlier | None) -> None:
    if path is None or not path.exists():
        return
    if own is None or own.submission != str(path.resolve()):
        raise InputError(
            f"--submission: {path} exists already; give another name, or replace it with "
            "--overwrite"
        )
