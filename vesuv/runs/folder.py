"""A run's folder: the names of its files, and reading of those that commands need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vesuv.config import Config, dump_config, load_config
from vesuv.config.section import Section
from vesuv.errors import InputError, command
from vesuv.io.atomic import catch_write_errors, write_text
from vesuv.io.lock import hold_lock
from vesuv.io.places import check_no_links, check_place
from vesuv.io.tables import read_json, write_json
from vesuv.migrations import RECORD
from vesuv.runs.fields import Record, first_fault
from vesuv.runs.own_files import (
    clear_temporary_files,
    files_in_the_way,
    is_own_run,
    places_of_output,
    remove_run,
)
from vesuv.runs.records import RunFacts, SelectedModel
from vesuv.runs.software import software

RESUME_HINT = (
    "what was saved before is whole: make room or give the permission, then go on with --resume"
)
_ORDER = ("best", "last", "swa", "ema")
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
            complete = run.exists
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
        return (self.path / "run.json").is_file() and self.config_file.is_file()

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def config(self) -> Config:
        """The configuration that the run was trained with."""
        return self.config_with(())

    def config_with(self, changes: Sequence[str]) -> Config:
        """Return the run's configuration with changes, each `section.key=value`.

        Relative paths in a file of an earlier version count from the current folder.
        """
        return load_config(self.config_file, changes, paths_from=Path())

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
    def instances_file(self) -> Path:
        """The chosen parameters of instances, instances.json."""
        return self.path / "instances.json"

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
                f"found {selected.checkpoint!r:.60}; {command('validate_distribution')} selects "
                "anew"
            )
        return selected

    def check_may_be_replaced(self) -> None:
        """Refuse a folder with files that have the names of a run's but are none.

        Raises:
            InputError: Names one of them.
        """
        in_the_way = files_in_the_way(self.path)
        if in_the_way and not is_own_run(self.path):
            raise InputError(
                f"{in_the_way[0]}: was not written by {command('train')} (no run.json of a run "
                "beside it), and a run would replace it; write elsewhere with --output DIR"
            )

    def check_no_links(self) -> None:
        """Refuse links in the folder through which output would be written.

        Raises:
            InputError: Names one of them.
        """
        check_no_links(places_of_output(self.path))

    def create(self, config: Section, facts: dict[str, Any]) -> None:
        """Make the folder with run.json and config.yaml; leftovers of killed processes go."""
        with catch_write_errors(self.path, RESUME_HINT):
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            clear_temporary_files(self.path)
        write_json(self.path / "run.json", {**facts, **software()})
        write_text(self.config_file, dump_config(config))

    def clear(self) -> None:
        """Remove the files of an earlier run, and no others.

        Raises:
            InputError: A file cannot be removed.
        """
        with catch_write_errors(self.path, RESUME_HINT):
            remove_run(self.path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other training processes out of the folder; a killed process holds no lock.

        Raises:
            InputError: Another process trains here, or the folder cannot be written.
        """
        message = (
            f"{self.path}: another process trains in this folder ({{holder}}); wait for it, or "
            "write elsewhere with --output DIR"
        )
        check_place(self.path)
        with catch_write_errors(self.path, RESUME_HINT):
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            with _locked(self.path / "run.lock", message, RESUME_HINT):
                yield
        finally:
            if not self.exists:  # the run did not start: remove an empty folder
                with suppress(OSError):
                    self.path.rmdir()

    @contextmanager
    def selection_lock(self) -> Iterator[None]:
        """Keep other processes from selecting for this run, and from replacing it meanwhile.

        Raises:
            InputError: Another process selects, or the folder cannot be written.
        """
        message = f"{self.path}: another process selects a model here ({{holder}}); wait for it"
        hint = "make room or give the permission, then start again"
        with _locked(self.path / "selection.lock", message, hint):
            yield


@contextmanager
def _locked(path: Path, message: str, hint: str) -> Iterator[None]:
    """Hold a lock; only faults of the lock itself are those of writing."""
    with ExitStack() as stack:
        with catch_write_errors(path.parent, hint):
            stack.enter_context(hold_lock(path, message))
        yield


def _read_record(path: Path, kind: type[Kind]) -> Kind:
    """Read and check a JSON file, which a user may have edited."""
    content = RECORD.migrated(read_json(path), path)
    try:
        return kind.model_validate(content)
    except ValidationError as fault:
        raise InputError(f"{path}: {first_fault(fault)}; write it anew") from None
