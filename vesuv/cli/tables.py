"""Tables on a terminal."""

from __future__ import annotations

from rich.table import Table

from vesuv.io.tables import TextTable


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
