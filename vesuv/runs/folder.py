"""A run's folder: the names of its files, and reading of those that commands need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from vesuv.config import Config, dump_config, load_config
from vesuv.errors import InputError, command
from vesuv.io.atomic import catch_write_errors, clear_leftovers, write_text
from vesuv.io.tables import read_json, write_json
from vesuv.runs.records import Record, RunFacts, SelectedModel, first_fault
from vesuv.runs.software import software

VERSION = 1
RESUME_HINT = (
    "what was saved before is whole: make room or give the permission, then go on with --resume"
)
_ORDER = ("best", "last", "swa", "ema")
_OUTPUT_FOLDERS = ("checkpoints", "distribution")
_OUTPUT_FILES = (
    "config.yaml",
    "run.json",
    "train.log",
    "metrics.csv",
    "events.jsonl",
    "evidence.jsonl",
    "diagnosis.json",
    "slices.npz",
    "report.html",
    "selected.json",
)
_TENSORBOARD = "events.out.tfevents.*"

Kind = TypeVar("Kind", bound=Record)


@dataclass(frozen=True)
class RunFolder:
    """log/<configuration>/fold_<k>/ and the files inside it."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a folder that training wrote.

        Raises:
            InputError: It is missing or holds no run.
        """
        run = cls(path)
        try:
            complete = run.exists and run.config_file.is_file()
        except OSError:  # a name too long for the file system
            complete = False
        if not complete:
            raise InputError(
                f"{path!s:.200}: not a run folder (no run.json); name log/<config>/fold_<k>"
            )
        return run

    @property
    def exists(self) -> bool:
        """Whether training has begun in this folder."""
        return (self.path / "run.json").is_file()

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def config(self) -> Config:
        """The configuration that the run was trained with."""
        return load_config(self.config_file)

    @property
    def facts(self) -> RunFacts:
        """Facts about the start of the run, run.json.

        Raises:
            InputError: run.json is missing or invalid.
        """
        return _read_record(self.path / "run.json", RunFacts)

    @property
    def page(self) -> Path:
        """The run's report, report.html."""
        return self.path / "report.html"

    @property
    def selected_file(self) -> Path:
        """The selected model, selected.json."""
        return self.path / "selected.json"

    @property
    def distribution(self) -> Path:
        """Folder of the selection's measurements."""
        return self.path / "distribution"

    def checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint by name: best, last, swa, ema or epoch_0049."""
        return self.path / "checkpoints" / f"{name}.pt"

    def existing_checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint that exists.

        Raises:
            InputError: The run has no checkpoint of that name.
        """
        names = self.checkpoints()
        if name not in names:
            available = ", ".join(names) or "none"
            raise InputError(
                f"{self.path}: checkpoint must be one of {available}, asked for {name!r}"
            )
        return self.checkpoint(name)

    def checkpoints(self) -> list[str]:
        """Return the names of the existing checkpoints, best first."""
        names = sorted(path.stem for path in (self.path / "checkpoints").glob("*.pt"))
        return [n for n in _ORDER if n in names] + [n for n in names if n not in _ORDER]

    def selected_model(self) -> SelectedModel | None:
        """Read selected.json; None before the selection.

        Raises:
            InputError: It is invalid, or names a missing checkpoint.
        """
        if not self.selected_file.is_file():
            return None
        selected = _read_record(self.selected_file, SelectedModel)
        if selected.checkpoint not in self.checkpoints():
            raise InputError(
                f"{self.selected_file}: checkpoint must be one of {', '.join(self.checkpoints())}, "
                f"found {selected.checkpoint!r}; {command('validate_distribution')} selects anew"
            )
        return selected

    def create(self, config: Config, facts: dict[str, Any]) -> None:
        """Make the folder with config.yaml and run.json; leftovers of killed processes go."""
        with catch_write_errors(self.path, RESUME_HINT):
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            for folder in (self.path, *(self.path / name for name in _OUTPUT_FOLDERS)):
                clear_leftovers(folder)
        write_text(self.config_file, dump_config(config))
        write_json(self.path / "run.json", {**facts, **software()})

    def clear(self) -> None:
        """Remove the files of an earlier run, and no others."""
        for name in _OUTPUT_FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for file in (*(self.path / name for name in _OUTPUT_FILES), *self.path.glob(_TENSORBOARD)):
            file.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other training processes out of the folder; a killed process holds no lock.

        Raises:
            InputError: Another process trains here, or the folder cannot be written.
        """
        with catch_write_errors(self.path, RESUME_HINT):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "run.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise InputError(
                    f"{self.path}: another process trains in this folder; wait for it, or write "
                    "elsewhere with --output DIR"
                ) from None
        try:
            yield
        finally:
            lock.release()
            if not self.exists:  # the run did not start: remove the lock and an empty folder
                with suppress(OSError):
                    (self.path / "run.lock").unlink(missing_ok=True)
                    self.path.rmdir()


def _read_record(path: Path, kind: type[Kind]) -> Kind:
    """Read and check a JSON file, which a user may have edited."""
    content = read_json(path)
    if content.get("version") != VERSION:
        raise InputError(f"{path}: version must be {VERSION}; it was not written by this vesuv")
    try:
        return kind.model_validate(content)
    except ValidationError as fault:
        raise InputError(f"{path}: {first_fault(fault)}; write it anew") from None
