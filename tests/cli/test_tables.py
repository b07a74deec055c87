from __future__ import annotations

import io

from vesuv.cli.console import SafeConsole
from vesuv.cli.tables import rich_table
from vesuv.io.tables import TextTable


def printed(table: TextTable) -> str:
    file = io.StringIO()
    SafeConsole(file, width=60).print(rich_table(table))
    return file.getvalue()


def test_a_terminal_gets_short_names() -> None:
    table = TextTable(
        "Means", ["case", "dice"], [["a|b", "0.5"]], [["all", "0.6"]], 1, ["case", "Dice"]
    )

    text = printed(table)

    assert "Dice" in text
    assert text.index("a|b") < text.index("all")


def test_brackets_in_names_are_no_markup() -> None:
    assert "a[/b]" in printed(TextTable("Means", ["case"], [["a[/b]"]]))
