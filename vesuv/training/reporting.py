"""What a run says while it trains: to its folder, and to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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

Row = dict[str, float | int | None]
"""An epoch's columns of metrics.csv; None where there is no number."""

_NO_FAULT_OF_THIS_PROCESS = (Interrupted, OtherProcessError)


@dataclass(frozen=True)
class StepProgress:
    """How far an epoch is."""

    epoch: int
    epochs: int
    step: int
    """Steps of the epoch that are done."""
    steps: int
    patches_per_second: float


def _ignore(_said: object) -> None:
    """Ignore it."""


@dataclass(frozen=True)
class Listener:
    """Hears what a run says; the command line prints it, a library user may ignore it."""

    line: Callable[[str], None] = _ignore
    """Called with each line of train.log; an OSError ends these calls and not the training."""
    step: Callable[[StepProgress], None] = _ignore
    """Called after each step."""


SILENT: Listener = Listener()


class Reporter:
    """Writes and tells what happens; of several processes the first one alone does.

    Raises:
        InputError: The folder cannot be written, from any method.
    """

    def __init__(
        self, run: RunFolder, position: Position, group: Group, listener: Listener = SILENT
    ) -> None:
        self.run = run
        self.listener = listener if group.is_main else SILENT
        self.writer = RunWriter(run, position) if group.is_main else None
        self.reported: set[str] = set()

    def say(self, line: str) -> None:
        """Write a line to train.log, and tell it."""
        if self.writer is not None:
            self.writer.log(line)
        try:
            self.listener.line(line)
        except OSError as fault:
            self.listener = SILENT
            self.say(f"Nothing more is printed ({fault.strerror}); training and this log go on")

    def metrics(self, epoch: int, row: Row) -> None:
        """Write an epoch's numbers."""
        if self.writer is not None:
            self.writer.metrics(epoch, row)

    def event(self, position: Position, kind: str, line: str) -> None:
        """Write something that happened.

        Args:
            position: Epoch and step.
            kind: phase, noise, escape, learning_rate, non_finite, rollback, resume or stop.
            line: What happened, in one sentence.
        """
        epoch, step = position
        self.say(f"Epoch {epoch} {line}")
        if self.writer is not None:
            self.writer.event(RunEvent(epoch=epoch, step=step, kind=kind, line=line))

    def slices(
        self,
        epoch: int,
        pictures: Mapping[str, Tensor],
        places: Sequence[tuple[str, int]],
        threshold: float,
    ) -> None:
        """Write pictures of validation tiles; see `RunWriter.slices`."""
        if self.writer is not None:
            self.writer.slices(epoch, pictures, places, threshold)

    def findings(self, epoch: int, findings: Sequence[Finding]) -> None:
        """Say the findings that were not there before."""
        names = {finding.name for finding in findings}
        for line in finding_lines(
            finding for finding in findings if finding.name not in self.reported
        ):
            self.say(f"Epoch {epoch} {line}")
        if names != self.reported and self.writer is not None:
            self.writer.text(
                "findings", "\n\n".join(finding_lines(findings)) or "No findings.", epoch
            )
        self.reported = names

    def conclude(self, findings: Sequence[Finding]) -> None:
        """End the log with all findings, and write the page."""
        for line in ["Findings:", *finding_lines(findings)] if findings else ["No findings"]:
            self.say(line)
        self.page()

    def page(self) -> None:
        """Write report.html from what lies in the folder."""
        if self.writer is not None:
            with self.aside("Writing report.html"), catch_write_errors(self.run.path, RESUME_HINT):
                write_page(self.run.path)

    @contextmanager
    def aside(self, what: str) -> Iterator[None]:
        """Keep a fault of ours in what only watches the run from ending it."""
        try:
            yield
        except InputError:
            raise
        except Exception as fault:
            self.say(f"{what} failed ({type(fault).__name__}: {fault}); training goes on")

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave a fault of this process in the log, then flush."""
        with suppress(OSError, InputError):
            if fault is not None and not isinstance(fault, _NO_FAULT_OF_THIS_PROCESS):
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
