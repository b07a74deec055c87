"""Lines of a CSV file that a user wrote."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from vesuv.errors import InputError
from vesuv.files import open_text
from vesuv.io.tables import plain_cell


def csv_lines(path: Path, columns: Sequence[str], hint: str) -> list[tuple[int, dict[str, str]]]:
    """Return number and cells of each line that is not empty.

    Args:
        path: The file.
        columns: Columns that it must have.
        hint: What to do, or what the file holds, where there is none.

    Raises:
        InputError: The file cannot be read, or has not these columns.
    """
    try:
        with open_text(path, newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}: needs the columns {', '.join(columns)}, found no {missing[0]}; "
                    "name it in the first line"
                )
            lines = [
                (reader.line_num, {name: plain_cell(cell) for name, cell in line.items() if name})
                for line in reader
            ]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {hint}") from None
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as fault:
        raise InputError(f"{path}: cannot be read as CSV ({fault}); save it as UTF-8") from None
    return [(number, line) for number, line in lines if any(line.values())]
