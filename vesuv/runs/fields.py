"""Base of the records of a run's files, and the types of their fields."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

BINS = 100
"""Equal bins of the predicted probability of foreground."""

MAX_EPOCH = 10**9
"""No run has more epochs; a larger number is a damaged file's."""

Epoch = Annotated[int, Field(ge=0, le=MAX_EPOCH)]
LastEpoch = Annotated[int, Field(ge=-1, le=MAX_EPOCH)]
"""-1: before the first epoch."""
VoxelCount = Annotated[int, Field(ge=0, le=2**63 - 1)]
BinCounts = Annotated[tuple[VoxelCount, ...], Field(min_length=BINS, max_length=BINS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
PositiveNumber = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
TermPair = Annotated[str, Field(pattern=r"^\w+\|\w+$")]


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def first_fault(fault: ValidationError) -> str:
    """Return the first fault of a record in a sentence: key, rule and value found."""
    error = fault.errors()[0]
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":  # from `read_chain`, which names the key and the value
        return message
    key = ".".join(str(part) for part in error["loc"]) or "content"
    value = "" if error["type"] == "missing" else f", found {error['input']!r:.60}"
    return f"{key}: {message}{value}"


def valid_records(kind: type[Record], items: Any) -> Any:
    """Leave invalid records out of a list, so that one does not cost all of them."""
    if not isinstance(items, (list, tuple)):
        return items
    records = []
    for item in items:
        with suppress(ValidationError):
            records.append(kind.model_validate(item))
    return tuple(records)


Triple = tuple[Number, Number, Number]
Interval = tuple[Number, Number]
