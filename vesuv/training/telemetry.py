"""What a run says while it trains: train.log, metrics.csv, TensorBoard, a progress bar."""

from __future__ import annotations

import csv
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard.writer import SummaryWriter

from vesuv.diagnosis import Finding, show
from vesuv.errors import InputError, Interrupted
from vesuv.report.page import write_page
from vesuv.runs.folder import write_text, writing
from vesuv.runtime.distributed import AnotherFailed
from vesuv.training.slices import Slices

Position = tuple[int, int]
"""Epoch and step within it."""
_ANOTHERS = (Interrupted, AnotherFailed)
"""What ends a process without being its fault; a process at fault writes that itself."""


class Telemetry:
    """Writes one row an epoch everywhere, and events as lines.

    A resumed run cuts metrics.csv, events.jsonl and evidence.jsonl back to what lies before the
    position it continues from.

    Raises:
        InputError: The folder cannot be written, from any method.
    """

    def __init__(self, folder: Path, position: Position) -> None:
        self.folder = folder
        with writing(folder):
            self._open(folder, position)

    def _open(self, folder: Path, position: Position) -> None:
        first_epoch = position[0]
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.log = _open_log(folder / "train.log")
        self.rows = _Rows(folder / "metrics.csv", first_epoch)
        _cut(folder / "events.jsonl", lambda line: (line["epoch"], line["step"]) < position)
        _cut(folder / "evidence.jsonl", lambda line: line["epoch"] < first_epoch)
        self.told: set[str] = set()
        self.board = SummaryWriter(str(folder), purge_step=first_epoch or None)

    def say(self, line: str) -> None:
        """Write a line to train.log and to the console."""
        with writing(self.folder):
            self.log.info(line)
        self.console.print(line, markup=False)

    def epoch(self, epoch: int, row: Mapping[str, float | int | None]) -> None:
        """Write an epoch's numbers to metrics.csv and TensorBoard; None where there is none."""
        with writing(self.folder):
            self.rows.write({"epoch": epoch, **row})
            for name, value in row.items():
                if value is not None:
                    self.board.add_scalar(name, value, epoch)

    def event(self, position: Position, kind: str, line: str) -> None:
        """Write something that happened to the log, events.jsonl and TensorBoard.

        Args:
            position: Epoch and step.
            kind: phase, noise, escape, learning_rate, non_finite, rollback, resume or stop.
            line: What happened, in one sentence.
        """
        epoch, step = position
        self.say(f"Epoch {epoch} {line}")
        content = json.dumps({"epoch": epoch, "step": step, "kind": kind, "line": line})
        with writing(self.folder):
            with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
                file.write(content + "\n")
            self.board.add_text(kind, line, epoch)

    def findings(self, epoch: int, findings: Sequence[Finding]) -> None:
        """Say what was not said before; keep all of it in TensorBoard when it changes."""
        names = {finding.name for finding in findings}
        for line in show(finding for finding in findings if finding.name not in self.told):
            self.say(f"Epoch {epoch} {line}")
        if names != self.told:
            text = "\n\n".join(show(findings)) or "No findings."
            with writing(self.folder):
                self.board.add_text("findings", text, epoch)
        self.told = names

    def conclude(self, findings: Sequence[Finding]) -> None:
        """End the log with all that was found, and write the page."""
        for line in ["Findings:", *show(findings)] if findings else ["No findings"]:
            self.say(line)
        self.page()

    def page(self) -> None:
        """Write report.html from what lies in the folder."""
        with self.aside("Writing report.html"), writing(self.folder):
            write_page(self.folder)

    @contextmanager
    def aside(self, what: str) -> Iterator[None]:
        """Keep a fault of ours in what only watches the run from ending it."""
        try:
            yield
        except InputError:
            raise
        except Exception as fault:
            self.say(f"{what} failed ({type(fault).__name__}: {fault}); training goes on")

    def pictures(self, epoch: int, slices: Slices) -> None:
        """Write the first tile's slices to TensorBoard."""
        with writing(self.folder):
            for name in ("image", "label", "probability"):
                picture = getattr(slices, name)[:1].clamp(0, 1).numpy()
                self.board.add_image(f"slices/{name}", picture, epoch)

    @contextmanager
    def progress(self, epoch: int, epochs: int, steps: int) -> Iterator[Progress]:
        """Show a bar with rate and time left while an epoch runs; nothing without a terminal."""
        columns = (
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        bar = Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        )
        with bar:
            bar.add_task("", total=steps, epoch=epoch, epochs=epochs - 1, rate="")
            yield bar

    def close(self) -> None:
        """Flush everything."""
        self.board.close()
        _close_log(self.log)

    def __enter__(self) -> Telemetry:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the fault in the log, then flush."""
        if fault is not None and not isinstance(fault, _ANOTHERS):
            with suppress(OSError):
                self.log.error("stopped: %s: %s", kind.__name__ if kind else "", fault)
        with suppress(OSError):
            self.close()


class Silence(Telemetry):
    """What the processes that do not lead say: nothing but the fault that ends the job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = Console(file=io.StringIO(), quiet=True)

    def say(self, _line: str) -> None:
        """Write nothing."""

    def epoch(self, _epoch: int, _row: Mapping[str, float | int | None]) -> None:
        """Write nothing."""

    def event(self, _position: Position, _kind: str, _line: str) -> None:
        """Write nothing."""

    def page(self) -> None:
        """Write nothing."""

    def pictures(self, _epoch: int, _slices: Slices) -> None:
        """Write nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the fault in the log."""
        if fault is not None and not isinstance(fault, _ANOTHERS):
            with suppress(OSError):
                self.log = _open_log(self.folder / "train.log")
                self.log.error("stopped: %s: %s", kind.__name__ if kind else "", fault)
                _close_log(self.log)


def show_rate(bar: Progress, patches_per_second: float, advance: int = 1) -> None:
    """Move the epoch's bar on."""
    bar.update(TaskID(0), advance=advance, rate=f"{patches_per_second:.2f} patches/s")


def _open_log(path: Path) -> logging.Logger:
    logger = logging.getLogger(f"vesuv.run.{path.parent}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    return logger


def _close_log(log: logging.Logger) -> None:
    for handler in list(log.handlers):
        handler.close()
        log.removeHandler(handler)


class _LogFile(logging.FileHandler):
    """A log file that does not keep a full disk to itself."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        """Raise what happened."""
        raise


def _cut(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Leave the lines that `keep` wants; a line that a kill left half written goes too."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            wanted = keep(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if wanted:
            kept.append(line)
    write_text(path, "".join(f"{line}\n" for line in kept))


class _Rows:
    """metrics.csv, written row by row; a column once there stays where it is."""

    def __init__(self, path: Path, first_epoch: int) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        if first_epoch and path.is_file():
            self._read(first_epoch)
            self._rewrite()
        else:
            path.unlink(missing_ok=True)

    def _read(self, first_epoch: int) -> None:
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file, restkey="", restval=""):
                    # The epochs count up; a line that a kill left half written does not fit in.
                    if row["epoch"] == str(len(self.rows)) and len(self.rows) < first_epoch:
                        self.rows.append({name: cell for name, cell in row.items() if name})
        except (KeyError, csv.Error, UnicodeDecodeError) as fault:
            raise InputError(
                f"{self.path}: is not the table that training wrote ({fault}); put it back, or "
                "move it away and the rest of the run begins a new one"
            ) from None

    def write(self, row: Mapping[str, float | int | None]) -> None:
        text = {k: "" if v is None else f"{v:.6g}" for k, v in row.items()}
        known = list(self.rows[-1]) if self.rows else []
        self.rows.append({**dict.fromkeys(known, ""), **text})
        if list(self.rows[-1]) != known:
            self._rewrite()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, known).writerow(self.rows[-1])

    def _rewrite(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())
        self.rows = [{**dict.fromkeys(columns, ""), **row} for row in self.rows]
