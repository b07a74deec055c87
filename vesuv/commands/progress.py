"""Progress of long work over volumes: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_EVERY = 30.0  # seconds between two plain lines


@contextmanager
def windows_progress(console: Console, title: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many windows of a volume are done, their rate and the time left.

    Args:
        console: Where to; without a terminal a plain line comes every half minute.
        title: What is being worked on.

    Yields:
        A function of the windows done and of all windows.
    """
    if not console.is_terminal:
        yield _lines(console, title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(console: Console, title: str) -> Callable[[int, int], None]:
    start = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _LINE_EVERY or done == total:
            return
        last = now
        rate = done / (now - start)
        left = (total - done) / rate
        console.print(
            f"{title}: {done}/{total} windows, {rate:.2f} a second, {left:.0f} s left",
            markup=False,
        )

    return tell


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.2f} windows/s")
