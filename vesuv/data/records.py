"""Typed records of a store's JSON files; every key is checked when a file is read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vesuv.data.statistics import CaseStatistics, Count, DatasetStatistics
from vesuv.errors import InputError, command
from vesuv.files import read_text
from vesuv.io.atomic import write_text
from vesuv.io.formats.volume import NO_SPACING
from vesuv.migrations import STORE, Format

VERSION: int = STORE.version
"""Version of the store's format."""
_SETTINGS = ("data.root", "data.layout", "data.spacing", "labels.classes", "labels.ignore")


def _check_plain_name(name: str) -> str:
    """Refuse ids that would name a folder outside the store, or that UTF-8 cannot hold."""
    if name in ("", ".", "..") or set("/\\\0") & set(name):
        raise ValueError("a case's id is a plain name")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise ValueError("a case's id is UTF-8; rename its files")
    return name


CaseId = Annotated[str, AfterValidator(_check_plain_name)]
PositiveCount = Annotated[int, Field(ge=1, le=2**31)]
PositiveLength = Annotated[float, Field(gt=0.0)]
Unit = Literal["pm", "Å", "nm", "µm", "mm", "cm", "m", "in"]
LabelValue = Annotated[int, Field(ge=-(2**63), lt=2**64)]
CheckedShape = tuple[PositiveCount, PositiveCount, PositiveCount]
CheckedDirection = Annotated[tuple[float, ...], Field(min_length=9, max_length=9)]
CheckedSpacing = tuple[PositiveLength, PositiveLength, PositiveLength]
Stamp = list[int | str]
"""Bytes and modification time in ns; of a folder also a digest over its files."""
NO_GRID = (NO_SPACING, None, None)
"""Spacing, unit and direction of a file that states none of them."""


class Record(BaseModel):
    """A JSON file of a store, or a part of one; values equal to the default are not written."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    def content(self) -> dict[str, Any]:
        """Return the record as JSON types."""
        return self.model_dump(mode="json", exclude_defaults=True)


class CaseAttributes(Record):
    """Properties of a prepared case, which are read without its voxels.

    Args:
        version: Version of the store's format; None in the oldest stores.
        id: Name of the case.
        group: Group for grouped or stratified folds; None when not known.
        shape: Voxels along z, y, x.
        spacing: Voxel edges along z, y, x, in `unit`.
        unit: Unit of the spacing, see `vesuv.io.formats.Volume`; None when not known.
        direction: Unit vectors of the axes, see there; None in older stores, or when not known.
        native_shape: Shape of the file; None where nothing was resampled.
        native_spacing: Spacing of the file; None where nothing was resampled.
        num_channels: Channels of the image.
        num_classes: Classes, background counted, ignore not.
        dtype: Number type of the image.
        values: Label value in the file -> voxels in the file.
        statistics: Intensities of the image; of a cube, those of the volume that it was cut out of.
        cut_from: Cases that hold voxels of a cube of `data.cubes`; None for all other cases.
    """

    version: int | None = None
    id: CaseId
    group: str | None
    shape: CheckedShape
    spacing: CheckedSpacing
    unit: Unit | None = None
    direction: CheckedDirection | None = None
    native_shape: CheckedShape | None = None
    native_spacing: CheckedSpacing | None = None
    num_channels: PositiveCount
    num_classes: Annotated[int, Field(ge=2, le=255)]
    dtype: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32"]
    values: dict[LabelValue, Count]
    statistics: CaseStatistics
    cut_from: tuple[CaseId, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> CaseAttributes:
        image, foreground = self.statistics, self.statistics.foreground
        parts: list[Sequence[object]] = [image.mean, image.std, image.min, image.max]
        parts += [part for part in (image.low, image.high) if part is not None]
        if foreground is not None:
            parts += [foreground.mean, foreground.std, foreground.quantiles]
        if any(len(part) != self.num_channels for part in parts):
            raise ValueError(f"statistics need one entry for each of {self.num_channels} channels")
        if (self.native_shape is None) != (self.native_spacing is None):
            raise ValueError("native_shape and native_spacing stand together")
        return self

    @property
    def states_grid(self) -> bool:
        """Whether the file states a spacing, unit or direction."""
        return (self.native_spacing or self.spacing, self.unit, self.direction) != NO_GRID

    @property
    def keeps_native_grid(self) -> bool:
        """Whether the file's own grid is known; stores of the first version did not record it."""
        voxels_in_file = sum(self.values.values())
        return self.native_shape is not None or voxels_in_file == math.prod(self.shape)


class CaseRecord(Record):
    """zarr.json of a case."""

    zarr_format: Literal[3]
    node_type: Literal["group"]
    attributes: CaseAttributes


class IndexRecord(Record):
    """store.json.

    Args:
        version: Version of the store's format.
        fingerprint: Hash over settings and contents of the sources; over stamps in former versions.
        settings: Settings that the store depends on, dotted key -> value.
        sources: Raw file or folder below data.root -> its stamp.
        cases: Ids of the cases.
        dataset_statistics: Foreground intensities pooled over all cases.
    """

    version: int
    fingerprint: str
    settings: dict[str, Any]
    sources: dict[str, Stamp]
    cases: Annotated[list[CaseId], Field(min_length=1)]
    dataset_statistics: DatasetStatistics

    @model_validator(mode="after")
    def _complete(self) -> IndexRecord:
        if len(set(self.cases)) != len(self.cases):
            raise ValueError("a case is listed twice")
        missing = [key for key in _SETTINGS if key not in self.settings]
        if missing or not isinstance(self.settings["data.root"], str):
            raise ValueError(f"settings lack {', '.join(missing) or 'a data.root'}")
        return self


class LabelShares(Record):
    """Shares of label values and classes in one or more cases.

    Args:
        voxels: Number of stored voxels.
        values: Label value -> share of the files' voxels.
        classes: Class name -> share of the valid voxels.
        ignore: Ignored voxels' share of the stored voxels.
        foreground: Foreground's share of the valid voxels, over all foreground classes.
        patches_with_foreground: Share of the patches that hold foreground.
    """

    voxels: Count
    values: dict[LabelValue, float]
    classes: dict[str, float]
    ignore: float
    foreground: float
    patches_with_foreground: float


class GroupShares(LabelShares):
    """Label shares of a group's cases."""

    num_cases: Count


class CaseShares(LabelShares):
    """Label shares of one case."""

    group: str | None
    shape: CheckedShape
    spacing: CheckedSpacing


class DatasetSummary(LabelShares):
    """summary.json: label shares over all cases, by group and by case."""

    version: int
    patch_size: CheckedShape
    num_cases: Count
    groups: dict[str, GroupShares]
    cases: dict[str, CaseShares]


AnyRecord = TypeVar("AnyRecord", bound=Record)


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON.

    Raises:
        InputError: The file cannot be written.
    """
    write_text(path, json.dumps(record.content(), indent=1, allow_nan=False))


def read_record(path: Path, kind: type[AnyRecord], form: Format | None = None) -> AnyRecord:
    """Read a file of a store.

    Args:
        path: The file.
        kind: Class of the record.
        form: Versions that can be read; None: any, as another file states it.

    Raises:
        InputError: It is missing, of a newer version, or damaged.
    """
    try:
        return parse_record(path, kind, form, "a damaged store", "prepare again with --overwrite")
    except FileNotFoundError:
        prepare_command = command("prepare")
        raise InputError(f"{path}: no prepared store here; run {prepare_command} first") from None


def parse_record(
    path: Path, kind: type[AnyRecord], form: Format | None, complaint: str, remedy: str
) -> AnyRecord:
    """Read a file that holds a record.

    Args:
        path: The file.
        kind: Class of the record.
        form: Versions that can be read; None: any, as another file states it.
        complaint: What is said of a file that cannot be read.
        remedy: What to do about it.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is of a newer version, or cannot be read.
    """
    try:
        text = read_text(path)
        if form is not None:
            text = json.dumps(form.migrated(json.loads(text), path))
        return kind.model_validate_json(text)
    except (FileNotFoundError, InputError):
        raise
    except (OSError, ValueError, RecursionError) as fault:
        reason = first_fault(fault) if isinstance(fault, ValidationError) else f"{fault!s:.200}"
        raise InputError(f"{path}: {complaint} ({reason}); {remedy}") from None


def first_fault(fault: ValidationError) -> str:
    """Return the first fault of a record in a sentence: key, rule and value found."""
    error = fault.errors()[0]
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}, found {error['input']!r:.60}" if place else message
