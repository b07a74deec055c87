from __future__ import annotations

import io

import pytest
from rich.table import Table

from vesuv.cli.console import SafeConsole, console
from vesuv.cli.progress import shown_progress

HOSTILE = "[/x] [bold]b[link=http://a]c :smile: \x1b[31md\re\nf\u202eg"
SHOWN = r"[/x] [bold]b[link=http://a]c :smile: \x1b[31md\re\nf\u202eg"


def terminal() -> tuple[SafeConsole, io.StringIO]:
    file = io.StringIO()
    return SafeConsole(file, width=200, force_terminal=True, color_system=None), file


def test_a_line_is_printed_as_it_is() -> None:
    console, file = terminal()

    console.print(HOSTILE)
    console.print(f"case {HOSTILE}", markup=True, emoji=True)

    assert file.getvalue() == f"{SHOWN}\ncase {SHOWN}\n"


def test_every_part_of_a_table_is_printed_as_it_is() -> None:
    console, file = terminal()
    table = Table(title=HOSTILE, caption=HOSTILE)
    table.add_column(HOSTILE, footer=HOSTILE)
    table.add_row(HOSTILE, style="bold")

    console.print(table)

    assert file.getvalue().count(SHOWN) == 4


def test_a_wide_table_is_whole_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(*(f"column {number}" for number in range(10)))
    table.add_row(*["0.123456"] * 10)

    console().print(table)

    assert capsys.readouterr().out.count("0.123456") == 10


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_title_of_progress_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    file = io.StringIO()
    console = SafeConsole(file, width=200, force_terminal=is_terminal, color_system=None)
    monkeypatch.setattr("vesuv.cli.progress._LINE_SECONDS", 0.0)

    with shown_progress(console, HOSTILE, "windows") as show:
        show(1, 2)

    assert SHOWN in file.getvalue()
