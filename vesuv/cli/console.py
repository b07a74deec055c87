"""Where a verb prints: text from outside never acts on the terminal, however it is printed."""

from __future__ import annotations

from typing import IO, Any

from rich.console import Console
from rich.text import Text

from vesuv.io.printable import printable

_FILE_WIDTH = 200
"""Width of tables in a file, in characters."""


class SafeConsole(Console):
    r"""Console that prints text as it is: no markup, no emoji codes, control characters as `\x1b`.

    This holds for lines, and for titles, headings and cells of tables. A line end is escaped too,
    because it may be part of a name: text of several lines is printed line by line.
    """

    def __init__(self, file: IO[str] | None = None, **options: Any) -> None:
        super().__init__(file=file, highlight=False, soft_wrap=True, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def console() -> Console:
    """Return where a verb prints; a file or a pipe has room for wide tables."""
    out = SafeConsole()
    if not out.is_terminal:
        out.width = _FILE_WIDTH
    return out
