"""What a run says while it trains: train.log, metrics.csv, TensorBoard, a progress bar."""

from __future__ import annotations

import csv
import io
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter


class Telemetry:
    """Writes one row an epoch everywhere, and events as lines.

    A resumed run cuts metrics.csv back to the epochs before the one it continues with.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.log = _open_log(folder / "train.log")
        self.rows = _Rows(folder / "metrics.csv", first_epoch)
        self.board = SummaryWriter(str(folder), purge_step=first_epoch or None)

    def say(self, line: str) -> None:
        """Write a line to train.log and to the console."""
        self.log.info(line)
        self.console.print(line, markup=False)

    def epoch(self, epoch: int, row: Mapping[str, float | int | None]) -> None:
        """Write an epoch's numbers to metrics.csv and TensorBoard; None where there is none."""
        self.rows.write({"epoch": epoch, **row})
        for name, value in row.items():
            if value is not None:
                self.board.add_scalar(name, value, epoch)

    def event(self, epoch: int, kind: str, line: str) -> None:
        """Write something that happened (noise, escape, phase) to the log and TensorBoard."""
        self.say(f"Epoch {epoch} {line}")
        self.board.add_text(kind, line, epoch)

    def picture(self, epoch: int, names: tuple[str, ...], images: tuple[Tensor, ...]) -> None:
        """Write grey images (y, x) in [0, 1] to TensorBoard."""
        for name, image in zip(names, images, strict=True):
            self.board.add_image(f"slices/{name}", image[None].clamp(0, 1).numpy(), epoch)

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
        for handler in list(self.log.handlers):
            handler.close()
            self.log.removeHandler(handler)

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
        if fault is not None:
            self.log.error("stopped: %s: %s", kind.__name__ if kind else "", fault)
        self.close()


def show_rate(bar: Progress, patches_per_second: float, advance: int = 1) -> None:
    """Move the epoch's bar on."""
    bar.update(TaskID(0), advance=advance, rate=f"{patches_per_second:.2f} patches/s")


def _open_log(path: Path) -> logging.Logger:
    logger = logging.getLogger(f"vesuv.run.{path.parent}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    return logger


class _Rows:
    """metrics.csv, written row by row; a column once there stays where it is."""

    def __init__(self, path: Path, first_epoch: int) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        if first_epoch and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.DictReader(file) if int(row["epoch"]) < first_epoch]
            self.rows = kept
            self._rewrite()
        else:
            path.unlink(missing_ok=True)

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
        self.path.write_text(text.getvalue(), encoding="utf-8")
        self.rows = [{**dict.fromkeys(columns, ""), **row} for row in self.rows]
