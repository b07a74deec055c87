"""Progress of work on windows or cases: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)
from rich.text import Text

from vesuv.cli.streams import output_fault
from vesuv.io.printable import printable
from vesuv.training.reporting import Listener, MetricsRow, StepProgress
from vesuv.types import Progress, ShowProgress

_LINE_SECONDS = 30.0
"""Seconds between two lines."""


def progress_on(console: Console) -> ShowProgress:
    """Return the function that shows progress on a console."""
    return partial(shown_progress, console)


@contextmanager
def shown_progress(console: Console, title: str, unit: str) -> Iterator[Progress]:
    """Show a bar with rate and remaining time; without a terminal, a line every half minute.

    Args:
        console: Console to print on.
        title: Name of the work.
        unit: Unit of the progress: windows or cases.
    """
    if not console.is_terminal:
        yield _line_progress(console, title, unit)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(title), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _line_progress(console: Console, title: str, unit: str) -> Progress:
    start = last_time = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last_time
        now = time.monotonic()
        if now - last_time < _LINE_SECONDS or done == total:
            return
        last_time = now
        rate = done / (now - start)
        seconds = (total - done) / rate
        console.print(
            f"{title}: {done}/{total} {unit}, {rate:.2f} a second, {seconds:.0f} s left",
        )

    return show


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.2f} {self.unit}/s")


def line_printer(out: Console) -> Callable[[str], None]:
    """Return a function that prints a line.

    It raises the OSError of a standard output that cannot be written any more.
    """

    def line(text: str) -> None:
        out.print(text)
        fault = output_fault()
        if fault is not None:
            raise fault

    return line


@contextmanager
def epoch_progress(
    out: Console,
    notice: Callable[[str], None],
    epoch: Callable[[int, MetricsRow], None],
    rate: Callable[[float], str],
) -> Iterator[Listener]:
    """Report a training; on a terminal show a bar for the steps of the epoch that runs.

    Args:
        out: Where the bar is shown.
        notice: Called with each notice.
        epoch: Called after each epoch.
        rate: Returns the patches a second in words.
    """
    if not out.is_terminal:
        yield Listener(notice=notice, epoch=epoch)
        return
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=out, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False, epoch=0, epochs=0, rate="")

        def step(at: StepProgress) -> None:
            bar.update(
                task,
                completed=at.step,
                total=at.steps,
                visible=at.step < at.steps,
                epoch=at.epoch,
                epochs=at.epochs,
                rate=rate(at.patches_per_second),
            )

        yield Listener(notice=notice, epoch=epoch, step=step)
