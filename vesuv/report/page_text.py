"""Numbers, words and tables as HTML. Everything that comes from a file goes through `text`."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from vesuv.report.page_files import number

_LONGEST = 2000
_DASH = "–"


def text(value: Any) -> str:
    """Escape for element content and for quoted attributes, cut where it is endless."""
    written = str(value)
    if len(written) > _LONGEST:
        written = f"{written[:_LONGEST]}…"
    return html.escape(written, quote=True)


def figure(value: Any, digits: int = 4) -> str:
    """Write a number to so many significant digits; a dash for none."""
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if not number(value):
        return _DASH
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 2}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if isinstance(value, int) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    places = digits - 1 - math.floor(math.log10(abs(value))) if abs(value) >= 1 else digits
    return f"{value:.{places}f}"


def percent(value: Any) -> str:
    """Write a share in per cent."""
    if not number(value):
        return _DASH
    return f"{100 * value:.{1 if abs(value) >= 0.1 else 2}f} %"


def duration(seconds: float) -> str:
    """Write seconds as people say them: 45 s, 3.5 min, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 570:
        return f"{seconds / 60:.1f} min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def value_text(value: Any) -> str:
    """Write a configuration value as YAML on one line."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value
    dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**9)
    return dumped.removesuffix("\n").removesuffix("\n...")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()
) -> str:
    """Return a table in a box of its own that scrolls; cells are HTML already.

    Args:
        headers: One a column.
        rows: Cells.
        numeric: Columns that are set flush right.
    """
    right = set(numeric)
    kind = [' class="n"' if i in right else "" for i in range(len(headers))]
    head = "".join(f'<th scope="col"{k}>{h}</th>' for h, k in zip(headers, kind, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(row, kind, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def section(name: str, title: str, body: str) -> str:
    """Return a section under its heading."""
    return f'<section id="{name}"><h2>{title}</h2>\n{body}\n</section>'
