"""Reports of a running training: files in its folder, and calls of a listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from torch import Tensor

from vesuv.diagnosis import Finding, finding_lines
from vesuv.errors import InputError, Interrupted
from vesuv.io.atomic import catch_write_errors
from vesuv.report.page import write_page
from vesuv.runs.folder import RESUME_HINT, RunFolder
from vesuv.runs.records import RunEvent
from vesuv.runs.writer import Position, RunWriter, close_log, open_log
from vesuv.runtime.distributed import Group, OtherProcessError
from vesuv.types import Say, silent

MetricsRow = dict[str, float | int | None]
"""An epoch's columns of metrics.csv; None: an empty cell."""

_ONLY_LOGGED = ("noise",)
"""Kinds of events that repeat too often for a person who watches."""
_NOT_LOGGED = (Interrupted, OtherProcessError)
"""Exceptions that are not errors of this process."""


@dataclass(frozen=True)
class StepProgress:
    """Progress within an epoch."""

    epoch: int
    epochs: int
    """Number of epochs of the run."""
    step: int
    """Number of finished steps of the epoch."""
    steps: int
    """Number of steps of an epoch."""
    patches_per_second: float


def _ignore_step(_progress: StepProgress) -> None:
    """Ignore progress."""


def _ignore_epoch(_epoch: int, _row: MetricsRow) -> None:
    """Ignore metrics."""


@dataclass(frozen=True)
class Listener:
    """Functions that training calls; the command line prints with them.

    An OSError of `line`, `notice` or `epoch` ends all calls and not the training.
    """

    line: Say = silent
    """Called with each line of train.log."""
    step: Callable[[StepProgress], None] = _ignore_step
    """Called after each step."""
    notice: Say = silent
    """Called with the lines of train.log for a person who watches: start, events, new findings and
    end. An epoch's own lines are left out: `epoch` has their numbers."""
    epoch: Callable[[int, MetricsRow], None] = _ignore_epoch
    """Called with an epoch's number and its columns of metrics.csv."""


SILENT: Listener = Listener()


class Reporter:
    """Writes the files of a run and calls the listener, in the main process only.

    Args:
        run: The run's folder.
        position: Position at which the run starts or continues.
        group: The processes of the run.
        listener: Receives lines and metrics.
        write_page: Writes the page of a run's folder.

    Raises:
        InputError: The folder cannot be written; every method may raise it.
    """

    def __init__(
        self,
        run: RunFolder,
        position: Position,
        group: Group,
        listener: Listener = SILENT,
        *,
        write_page: Callable[[Path], Path] = write_page,
    ) -> None:
        self.run = run
        self._write_page = write_page
        self.listener = listener if group.is_main else SILENT
        self.writer = RunWriter(run, position) if group.is_main else None
        self.reported_findings: set[str] = set()

    def say(self, line: str) -> None:
        """Write a line to train.log, for a person who watches too."""
        self.log(line)
        self._notice(line)

    def log(self, line: str) -> None:
        """Write a line to train.log alone."""
        if self.writer is not None:
            self.writer.log(line)
        with self._silence_on_error():
            self.listener.line(line)

    def metrics(self, epoch: int, row: MetricsRow) -> None:
        """Write an epoch's metrics."""
        if self.writer is not None:
            self.writer.metrics(epoch, row)
        with self._silence_on_error():
            self.listener.epoch(epoch, row)

    def _notice(self, line: str) -> None:
        with self._silence_on_error():
            self.listener.notice(line)

    @contextmanager
    def _silence_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            self.listener = SILENT
            self.log(f"Nothing more is printed ({fault.strerror}); training and this log go on")

    def event(self, position: Position, kind: str, line: str) -> None:
        """Write an event.

        Args:
            position: Epoch and step.
            kind: phase, noise, escape, learning_rate, non_finite, rollback, resume or stop.
            line: The event in one sentence.
        """
        epoch, step = position
        self.log(f"Epoch {epoch} {line}")
        if kind not in _ONLY_LOGGED:
            self._notice(line if kind == "stop" else f"Epoch {epoch} {line}")
        if self.writer is not None:
            self.writer.event(RunEvent(epoch=epoch, step=step, kind=kind, line=line))

    def slices(
        self,
        epoch: int,
        pictures: Mapping[str, Tensor],
        places: Sequence[tuple[str, int]],
        threshold: float,
        class_names: Sequence[str] = (),
    ) -> None:
        """Write pictures of validation tiles; see `RunWriter.slices`."""
        if self.writer is not None:
            self.writer.slices(epoch, pictures, places, threshold, class_names)

    def picture(self, epoch: int, name: str, grey: Tensor) -> None:
        """Write a picture; see `RunWriter.picture`."""
        if self.writer is not None:
            self.writer.picture(epoch, name, grey)

    def findings(self, epoch: int, findings: Sequence[Finding]) -> None:
        """Log the findings that are new in this epoch."""
        names = {finding.name for finding in findings}
        new_findings = [f for f in findings if f.name not in self.reported_findings]
        for line in finding_lines(new_findings):
            self.say(f"Epoch {epoch} {line}")
        if names != self.reported_findings and self.writer is not None:
            self.writer.text(
                "findings", "\n\n".join(finding_lines(findings)) or "No findings.", epoch
            )
        self.reported_findings = names

    def conclude(self, findings: Sequence[Finding]) -> None:
        """Log all findings at the end of the run, and write report.html."""
        for line in ["Findings:", *finding_lines(findings)] if findings else ["No findings"]:
            self.log(line)
        titles = "; ".join(f"{finding.title} ({finding.name})" for finding in findings)
        self._notice(f"Findings: {titles}" if findings else "No findings")
        self.page()

    def page(self) -> None:
        """Write report.html."""
        if self.writer is not None:
            with (
                self.log_errors("Writing report.html"),
                catch_write_errors(self.run.path, RESUME_HINT),
            ):
                self._write_page(self.run.path)

    @contextmanager
    def log_errors(self, task: str) -> Iterator[None]:
        """Log an unexpected error of a task that training does not depend on, and go on."""
        try:
            yield
        except InputError:
            raise
        except Exception as fault:
            self.say(f"{task} failed ({type(fault).__name__}: {fault}); training goes on")

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log an error of this process, and close the files."""
        with suppress(OSError, InputError):
            if fault is not None and not isinstance(fault, _NOT_LOGGED):
                self._log_fault(f"stopped: {kind.__name__ if kind else ''}: {fault}")
        if self.writer is not None:
            self.writer.close()

    def _log_fault(self, line: str) -> None:
        if self.writer is not None:
            self.writer.log(line)
            return
        log = open_log(self.run.path / "train.log")
        log.error(line)
        close_log(log)
