"""Tables and records as CSV and JSON: written whole or not at all, checked when read."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.errors import InputError
from vesuv.files import read_json as read_json
from vesuv.io.atomic import write_text as write_text
from vesuv.io.printable import printable

VERSION = 1

Cell = str | int | float | None

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of a text that a spreadsheet may run as a formula."""
_NUMBER = re.compile(r"-\d+(\.\d+)?")


def write_csv(path: Path, rows: Sequence[Mapping[str, Cell]], columns: Sequence[str] = ()) -> None:
    """Write rows under one header; missing values, None and NaN become empty cells.

    Floats have six significant digits, from 1,000 on ten, so that depths keep their millimetres.
    A text that a spreadsheet would run as a formula is quoted, see `quote_formula`.

    Args:
        path: File to write; its folder is made when missing.
        rows: Column name -> value; columns are in the order of their first appearance.
        columns: Names of the first columns, also where there are no rows.

    Raises:
        InputError: The file cannot be written.
    """
    columns = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    lines = [map(quote_formula, columns)]
    lines += [map(_cell_text, map(row.get, columns)) for row in rows]
    write_text(path, "".join(map(_csv_line, lines)))


def quote_formula(text: str) -> str:
    """Put `'` before a text that a spreadsheet would run as a formula; `plain_cell` undoes it.

    A number is none. A text of quotes before such a text gets one more, so that the original can be
    told.
    """
    is_formula = text.lstrip("'").startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def plain_cell(text: str) -> str:
    """Return the text that `quote_formula` made `text` of."""
    quoted = text.startswith("'") and text.lstrip("'").startswith(_FORMULA_STARTS)
    return text[1:] if quoted else text


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` with the format's version first; NaN becomes null.

    Raises:
        InputError: The file cannot be written.
    """
    plain = _to_json_types({"version": VERSION, **content})
    write_text(path, json.dumps(plain, indent=2, allow_nan=False) + "\n")


def read_json_or_none(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a JSON file, or None where `read_json` would refuse the file."""
    try:
        return read_json(path)
    except InputError:
        return None


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values without NaN; NaN without values."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def _csv_line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # which quotes \r in a cell too
    return text.getvalue().removesuffix("\r\n") + "\n"


def _cell_text(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return quote_formula(value)
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1000 else f"{value:.10g}"
    return str(value)


def _to_json_types(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _to_json_types(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json_types(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class TextTable:
    """A table of text, for a terminal or a Markdown file.

    Args:
        title: Heading of the table.
        header: Headings of the columns.
        rows: Cells, one for each column.
        footer: Further rows below a line, or in bold type.
        num_names: Columns at the left that hold names; the others hold numbers.
        short_header: Shorter headings, for a terminal; `header` where left out.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    footer: Sequence[Sequence[str]] = ()
    num_names: int = 1
    short_header: Sequence[str] = ()


def markdown_table(table: TextTable) -> str:
    """Write a table in Markdown, under a heading."""
    rules = [":--" if index < table.num_names else "--:" for index in range(len(table.header))]
    bold = [[f"**{cell}**" if cell else "" for cell in row] for row in table.footer]
    rows = (table.header, *table.rows, *bold)
    lines = [f"| {' | '.join(map(markdown_text, row))} |" for row in rows]
    lines.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join([f"## {table.title}", "", *lines, ""])


def markdown_text(text: str) -> str:
    """Return text from outside as Markdown shows it; it holds no HTML and ends no table's cell."""
    return printable(text).replace("|", "\\|").replace("<", "\\<")
