"""Score tables as CSV and JSON, and other text, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vesuv.errors import InputError

VERSION = 1

Cell = str | int | float | None


def write_csv(path: Path, rows: Sequence[Mapping[str, Cell]]) -> None:
    """Write rows under one header; what a row lacks, None and NaN become empty cells.

    Args:
        path: File to write; its folder is made when missing.
        rows: Column name -> value; columns stand in the order of their first mention.

    Raises:
        InputError: The file cannot be written.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` with the format's version first; NaN becomes null.

    Raises:
        InputError: The file cannot be written.
    """
    plain = _plain({"version": VERSION, **content})
    write_text(path, json.dumps(plain, indent=2, allow_nan=False) + "\n")


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are numbers; NaN when none is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _text(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; its folder is made when missing.

    Raises:
        InputError: The file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as fault:
        reason = fault.strerror
        raise InputError(f"{path}: cannot be written ({reason}); choose another output") from None
