"""Progress of long work over windows or cases: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

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


Tell = Callable[[int, int], None]
"""A function of what is done and of all there is to do."""


def windows_progress(console: Console, title: str) -> AbstractContextManager[Tell]:
    """Show how many windows of a volume are done, their rate and the time left."""
    return _progress(console, title, "windows")


def cases_progress(console: Console, title: str) -> AbstractContextManager[Tell]:
    """Show how many cases are done, their rate and the time left."""
    return _progress(console, title, "cases")


@contextmanager
def _progress(console: Console, title: str, unit: str) -> Iterator[Tell]:
    """Show a bar; without a terminal a plain line comes every half minute."""
    if not console.is_terminal:
        yield _lines(console, title, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(console: Console, title: str, unit: str) -> Tell:
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
            f"{title}: {done}/{total} {unit}, {rate:.2f} a second, {left:.0f} s left",
            markup=False,
        )

    return tell


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.2f} {self.unit}/s")
