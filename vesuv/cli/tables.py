"""Tables on a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.table import Table

from vesuv.config import parse_yaml
from vesuv.errors import InputError
from vesuv.io.tables import TextTable


def difference_lines(differences: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for each differing key: the other value if it has one, then this one."""
    lines = []
    for row in differences:
        before = f"{yaml_text(row['base'])} -> " if "base" in row else ""
        lines.append(f"{row['key']}: {before}{yaml_text(row['value'])}")
    return lines or ["no difference"]


def yaml_text(value: Any) -> str:
    """Return a value as YAML in one line: JSON, and text without quotes where it needs none."""
    if isinstance(value, str):
        with suppress(InputError):
            if parse_yaml(value, "value") == value:
                return value
    return json.dumps(value, ensure_ascii=False)


def rich_table(table: TextTable) -> Table:
    """Return a table as rich prints it, with short headings."""
    printed = Table(title=table.title)
    for index, name in enumerate(table.short_header or table.header):
        is_name = index < table.num_names
        printed.add_column(name, justify="left" if is_name else "right", no_wrap=is_name)
    for row in table.rows:
        printed.add_row(*row)
    if table.footer:
        printed.add_section()
    for row in table.footer:
        printed.add_row(*row)
    return printed
