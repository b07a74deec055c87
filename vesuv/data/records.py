"""The JSON files of a store, checked key by key: a disk or a hand may have changed them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vesuv.errors import InputError

NUM_QUANTILES = 1001
_SETTINGS = ("data.root", "data.layout", "data.spacing", "labels.classes", "labels.ignore")


def _one_folder(name: str) -> str:
    """A case's id is the name of its folder in the store, and of nothing outside it."""
    if name in ("", ".", "..") or set("/\\\0") & set(name):
        raise ValueError("a case's id is a plain name")
    return name


CaseId = Annotated[str, AfterValidator(_one_folder)]
Size = Annotated[int, Field(ge=1, le=2**31)]
Length = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=0)]
Floats = Annotated[list[float], Field(min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Open(_Record):
    model_config = ConfigDict(extra="allow")


class _Foreground(_Record):
    count: Count
    mean: Floats
    std: Floats
    quantiles: list[
        Annotated[list[float], Field(min_length=NUM_QUANTILES, max_length=NUM_QUANTILES)]
    ]


class _Statistics(_Record):
    mean: Floats
    std: Floats
    min: Floats
    max: Floats
    foreground: _Foreground | None


class _Dataset(_Record):
    num_cases: Count
    foreground: _Foreground | None


class _Attributes(_Record):
    version: int | None = None
    id: CaseId
    group: str | None
    shape: tuple[Size, Size, Size]
    spacing: tuple[Length, Length, Length]
    num_channels: Size
    num_classes: Annotated[int, Field(ge=2, le=255)]
    dtype: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32"]
    values: dict[Annotated[str, Field(pattern=r"^-?\d{1,19}$")], Count]
    statistics: _Statistics

    @model_validator(mode="after")
    def _one_entry_a_channel(self) -> _Attributes:
        known = self.statistics
        parts: list[list[Any]] = [known.mean, known.std, known.min, known.max]
        if known.foreground is not None:
            parts += [known.foreground.mean, known.foreground.std, known.foreground.quantiles]
        if any(len(part) != self.num_channels for part in parts):
            raise ValueError(f"statistics need one entry for each of {self.num_channels} channels")
        return self


class CaseRecord(_Record):
    """zarr.json of a case."""

    zarr_format: Literal[3]
    node_type: Literal["group"]
    attributes: _Attributes


class IndexRecord(_Record):
    """store.json."""

    version: int
    fingerprint: str
    settings: dict[str, Any]
    sources: dict[str, list[int]]
    cases: Annotated[list[CaseId], Field(min_length=1)]
    dataset_statistics: _Dataset

    @model_validator(mode="after")
    def _complete(self) -> IndexRecord:
        if len(set(self.cases)) != len(self.cases):
            raise ValueError("a case is listed twice")
        missing = [key for key in _SETTINGS if key not in self.settings]
        if missing or not isinstance(self.settings["data.root"], str):
            raise ValueError(f"settings lack {', '.join(missing) or 'a data.root'}")
        return self


class _Shares(_Open):
    classes: dict[str, float]
    ignore: float
    foreground: float
    patches_with_foreground: float


class CensusRecord(_Shares):
    """census.json."""

    patch_size: tuple[Size, Size, Size]
    values: dict[Annotated[str, Field(pattern=r"^-?\d{1,19}$")], float]
    groups: dict[str, _Shares]
    cases: dict[str, _Shares]


def read_record(path: Path, kind: type[BaseModel], version: int | None = None) -> dict[str, Any]:
    """Read a file of a store.

    Args:
        path: The file.
        kind: What must be in it.
        version: The version that is understood; None: the file states none.

    Raises:
        InputError: It is missing, of another version, or not what was written.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        found = content.get("version") if isinstance(content, dict) else None
        if version is not None and found != version:
            raise InputError(
                f"{path}: this vesuv reads stores of version {version}, found {found!r:.60}; "
                "prepare again with --overwrite"
            )
        kind.model_validate_json(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no prepared store here; run prepare first") from None
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as fault:
        reason = _first(fault) if isinstance(fault, ValidationError) else f"{fault!s:.200}"
        raise InputError(
            f"{path}: a damaged store ({reason}); prepare again with --overwrite"
        ) from None
    return content  # type: ignore[no-any-return]


def _first(fault: ValidationError) -> str:
    error = fault.errors()[0]
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}, found {error['input']!r:.60}" if place else message
