"""One table for a terminal and for a Markdown file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from vesuv.evaluation.bootstrap import Interval

_TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "prec.",
    "predicted_fraction": "pred.",
    "labelled_fraction": "label",
    "leaderboard": "score",
    "surface_cldice": "s.clDice",
    "cldice": "clDice",
    "components_error": "b0 err.",
    "loops_error": "b1 err.",
    "cavities_error": "b2 err.",
    "fraction_error": "frac.err.",
}
"""Column names that a terminal has no room for."""
_COUNTS = re.compile(r"(components|loops|cavities)_error")
_SHARES = re.compile(r"(predicted|labelled)_fraction|fraction_(error|bias)(_relative)?")


@dataclass(frozen=True)
class Grid:
    """A table as text.

    Args:
        title: Above it.
        header: Names of the columns.
        rows: Cells, as many as there are names.
        footer: More rows, set off by a line or bold type.
        num_names: Columns at the left that hold names; the others hold numbers.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    footer: Sequence[Sequence[str]] = ()
    num_names: int = 1


def for_terminal(grid: Grid) -> Table:
    """Return the table as rich prints it."""
    table = Table(title=grid.title)
    for index, name in enumerate(grid.header):
        names = index < grid.num_names
        table.add_column(_short(name), justify="left" if names else "right", no_wrap=names)
    for row in grid.rows:
        table.add_row(*row)
    if grid.footer:
        table.add_section()
    for row in grid.footer:
        table.add_row(*row)
    return table


def as_markdown(grid: Grid) -> str:
    """Return the table under a heading."""
    rules = [":--" if index < grid.num_names else "--:" for index in range(len(grid.header))]
    bold = [[f"**{cell}**" if cell else "" for cell in row] for row in grid.footer]
    lines = [f"| {' | '.join(map(_escaped, row))} |" for row in (grid.header, *grid.rows, *bold)]
    lines.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join([f"## {grid.title}", "", *lines, ""])


def number(column: str, value: float) -> str:
    """Write a value of a column: shares in percent, others with four digits; NaN is a dash."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if _SHARES.fullmatch(column):
        return f"{value:.2%}"
    if _COUNTS.fullmatch(column):
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"


def interval(column: str, ends: Interval) -> str:
    """Write an interval; nothing where there is none."""
    if any(map(math.isnan, ends)):
        return ""
    return f"{number(column, ends.low)} … {number(column, ends.high)}"


def _short(column: str) -> str:
    return _TITLES.get(column, column.replace("surface_dice@", "SD@"))


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
