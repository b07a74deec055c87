"""The one writer of a run's logs and tables during training.

train.log for people, metrics.csv and TensorBoard by epoch, events.jsonl and evidence.jsonl by line.
A resumed run removes the rows and lines after the position that it continues from.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter

from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace, catch_write_errors, write_text
from vesuv.io.printable import printable
from vesuv.io.tables import plain_cell, quote_formula, write_json
from vesuv.runs.folder import RESUME_HINT, RunFolder
from vesuv.runs.observation import Observation
from vesuv.runs.own_files import TENSORBOARD_SUFFIX
from vesuv.runs.records import Diagnosis, Finding, RunEvent

Position = tuple[int, int]
"""Epoch, and number of its finished steps."""


class RunWriter:
    """Writes into a run's folder.

    Args:
        run: The folder.
        position: Position at which the run starts or continues.

    Raises:
        InputError: The folder cannot be written; every method may raise it.
    """

    def __init__(self, run: RunFolder, position: Position) -> None:
        self.run = run
        epoch = position[0]
        with catch_write_errors(run.path, RESUME_HINT):
            self._log = open_log(run.path / "train.log")
            self._table = _MetricsTable(run.path / "metrics.csv", epoch)
            _keep_lines(
                run.path / "events.jsonl", lambda line: (line["epoch"], line["step"]) < position
            )
            _keep_lines(run.path / "evidence.jsonl", lambda line: line["epoch"] < epoch)
            self._board = SummaryWriter(
                str(run.path), purge_step=epoch or None, filename_suffix=TENSORBOARD_SUFFIX
            )

    def log(self, line: str) -> None:
        """Write a line to train.log."""
        with catch_write_errors(self.run.path, RESUME_HINT):
            self._log.info(line)

    def metrics(self, epoch: int, row: Mapping[str, float | int | None]) -> None:
        """Write an epoch's values to metrics.csv and TensorBoard; None is an empty cell."""
        with catch_write_errors(self.run.path, RESUME_HINT):
            self._table.write({"epoch": epoch, **row})
            for name, value in row.items():
                if value is not None:
                    self._board.add_scalar(name, value, epoch)

    def event(self, event: RunEvent) -> None:
        """Write an event to events.jsonl and TensorBoard."""
        self._append("events.jsonl", event.model_dump_json())
        self.text(event.kind, event.line, event.epoch)

    def observation(self, observation: Observation) -> None:
        """Write a validation's observation to evidence.jsonl."""
        self._append("evidence.jsonl", observation.model_dump_json(exclude_none=True))

    def diagnosis(self, epoch: int, findings: Sequence[Finding]) -> None:
        """Write diagnosis.json."""
        write_diagnosis(self.run, epoch, findings)

    def text(self, tag: str, text: str, epoch: int) -> None:
        """Write a text to TensorBoard."""
        with catch_write_errors(self.run.path, RESUME_HINT):
            lines = [printable(line) for line in text.split("\n")]
            self._board.add_text(tag, "\n".join(lines), epoch)

    def slices(
        self,
        epoch: int,
        pictures: Mapping[str, Tensor],
        places: Sequence[tuple[str, int]],
        threshold: float,
        class_names: Sequence[str] = (),
    ) -> None:
        """Write pictures of validation tiles to slices.npz, and the first one to TensorBoard.

        Args:
            epoch: Epoch that was validated.
            pictures: image, label and probability, (n, y, x) in [0, 1]; with several classes also
                class indices, uint8, which are not for TensorBoard. NaN, as of a network that has
                diverged, becomes 0.
            places: Case and slice number of each picture.
            threshold: Probability from which a voxel counts as foreground.
            class_names: Names of the class indices, background first.
        """
        path = self.run.path / "slices.npz"
        pictures = {name: part.nan_to_num() for name, part in pictures.items()}
        arrays: dict[str, Any] = {
            name: (part * 255).round().byte().numpy() if part.is_floating_point() else part.numpy()
            for name, part in pictures.items()
        }
        if class_names:
            arrays["class_names"] = np.array(class_names)
        with catch_write_errors(path, RESUME_HINT):
            with atomic_replace(path, ending=".npz", make_folder=False) as temporary:
                np.savez_compressed(
                    temporary,
                    cases=np.array([case for case, _ in places]),
                    z=np.array([z for _, z in places]),
                    threshold=np.array(threshold),
                    **arrays,
                )
            for name, part in pictures.items():
                if part.is_floating_point():
                    self._board.add_image(f"slices/{name}", part[:1].clamp(0, 1).numpy(), epoch)

    def picture(self, epoch: int, name: str, grey: Tensor) -> None:
        """Write a picture (y, x) in [0, 1] to <name>.png and to TensorBoard."""
        path = self.run.path / f"{name}.png"
        with catch_write_errors(path, RESUME_HINT):
            with atomic_replace(path, ending=".png", make_folder=False) as temporary:
                Image.fromarray((grey * 255).round().byte().numpy()).save(temporary)
            self._board.add_image(f"slices/{name}", grey[None].numpy(), epoch)

    def close(self) -> None:
        with suppress(OSError):
            self._board.close()
            close_log(self._log)

    def _append(self, name: str, line: str) -> None:
        with (
            catch_write_errors(self.run.path, RESUME_HINT),
            (self.run.path / name).open("a", encoding="utf-8") as file,
        ):
            file.write(line + "\n")


def write_diagnosis(run: RunFolder, epoch: int, findings: Sequence[Finding]) -> None:
    """Write diagnosis.json, whole or not at all.

    Args:
        run: The run's folder.
        epoch: Last epoch of the evidence.
        findings: The run's findings.
    """
    record = Diagnosis(epoch=epoch, findings=tuple(findings))
    write_json(run.path / "diagnosis.json", record.model_dump(mode="json"))


def open_log(path: Path) -> logging.Logger:
    """Open train.log for appending."""
    logger = logging.getLogger(f"vesuv.run.{path.parent}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = _RaisingFileHandler(path, encoding="utf-8")
    handler.setFormatter(_LineFormatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    return logger


def close_log(log: logging.Logger) -> None:
    """Close the log of `open_log`."""
    for handler in list(log.handlers):
        handler.close()
        log.removeHandler(handler)


class _LineFormatter(logging.Formatter):
    """Formatter that makes one line of a message, whatever names from outside it holds."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _RaisingFileHandler(logging.FileHandler):
    """File handler that raises write errors instead of swallowing them."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        raise


def _keep_lines(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Remove lines for which `keep` is False, and truncated lines of a killed run."""
    if not path.is_file():
        return
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            keeps_line = keep(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if keeps_line:
            lines.append(line)
    write_text(path, "".join(f"{line}\n" for line in lines))


class _MetricsTable:
    """metrics.csv, written row by row; the order of its columns does not change."""

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
                # A killed run truncates a line; of several lines of one epoch the last counts.
                lines = [line for line in file if line.endswith("\n")]
            rows = {row["epoch"]: row for row in csv.DictReader(lines, restkey="", restval="")}
        except (KeyError, csv.Error, UnicodeDecodeError) as fault:
            raise InputError(
                f"{self.path}: is not the table that training wrote ({fault}); put it back, or "
                "move it away and the rest of the run begins a new one"
            ) from None
        self.rows = [
            {plain_cell(name): cell for name, cell in rows[epoch].items() if name}
            for epoch in map(str, range(first_epoch))
            if epoch in rows
        ]

    def write(self, row: Mapping[str, float | int | None]) -> None:
        text = {k: "" if v is None else f"{v:.6g}" for k, v in row.items()}
        columns = list(self.rows[-1]) if self.rows else []
        self.rows.append({**dict.fromkeys(columns, ""), **text})
        if list(self.rows[-1]) != columns:
            self._rewrite()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(self.rows[-1].values())

    def _rewrite(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(map(quote_formula, columns))
        writer.writerows([row.get(name, "") for name in columns] for row in self.rows)
        with atomic_replace(self.path, make_folder=False) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
        self.rows = [{**dict.fromkeys(columns, ""), **row} for row in self.rows]
