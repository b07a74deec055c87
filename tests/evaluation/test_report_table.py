from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from vesuv.evaluation.bootstrap import Interval
from vesuv.evaluation.report_table import Grid, as_markdown, for_terminal, interval, number

GRID = Grid("Means", ["case", "dice"], [["a|b", "0.5"]], [["all", "0.6"]])


def test_markdown_is_a_heading_and_a_table_with_a_bold_foot() -> None:
    assert as_markdown(GRID) == (
        "## Means\n\n| case | dice |\n|:--|--:|\n| a\\|b | 0.5 |\n| **all** | **0.6** |\n"
    )


def test_a_terminal_gets_short_names() -> None:
    console = Console(file=io.StringIO(), width=60)

    console.print(for_terminal(GRID))

    printed = console.file.getvalue()
    assert "Dice" in printed
    assert printed.index("a|b") < printed.index("all")


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("dice", 0.8, "0.8000"),
        ("hd95", 123.456, "123.5"),
        ("hd95", math.inf, "∞"),
        ("hd95", -math.inf, "-∞"),
        ("dice", math.nan, "–"),
        ("predicted_fraction", 0.125, "12.50%"),
        ("fraction_bias", -0.01, "-1.00%"),
        ("loops_error", 9.0, "9"),
        ("loops_error", 9.25, "9.2"),
    ],
)
def test_numbers_are_written_as_their_column_asks(column: str, value: float, text: str) -> None:
    assert number(column, value) == text


def test_an_interval_shows_both_ends_or_nothing() -> None:
    assert interval("dice", Interval(0.25, 0.5)) == "0.2500 … 0.5000"
    assert interval("dice", Interval(math.nan, math.nan)) == ""
