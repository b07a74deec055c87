"""A run's folder: what lies in it and under which name."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vesuv import __version__
from vesuv.config import Config, dump_config, load_config
from vesuv.config.postprocess import Chain, read_chain
from vesuv.errors import InputError

VERSION = 1
_ORDER = ("best", "last", "swa", "ema")


@dataclass(frozen=True)
class Selected:
    """What selection chose for a run; threshold is None for a softmax head."""

    checkpoint: str
    threshold: float | None
    checkpoint_sha256: str | None = None
    """Digest of the file that was selected; None in a selected.json written by hand."""
    postprocess: Chain | None = None
    """Steps that were selected, none of them when empty; None: they were not part of the choice."""


@dataclass(frozen=True)
class RunFolder:
    """log/<configuration>/fold_<k>/ and the files inside it."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a folder that training wrote.

        Raises:
            InputError: It is not there or holds no run.
        """
        run = cls(path)
        try:
            there = (path / "run.json").is_file() and run.config_file.is_file()
        except OSError:  # a name too long for the file system
            there = False
        if not there:
            raise InputError(
                f"{path!s:.200}: not a run folder (no run.json); name log/<config>/fold_<k>"
            )
        return run

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def config(self) -> Config:
        """The configuration that the run was trained with."""
        return load_config(self.config_file)

    @property
    def fold(self) -> int | str:
        """The fold number, or "all"."""
        fold: int | str = self._fact("fold", lambda it: it == "all" or type(it) is int)
        return fold

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the prepared data that the run was trained on."""
        return str(self._fact("data_fingerprint", lambda it: isinstance(it, str)))

    @property
    def validation_cases(self) -> list[str]:
        """Cases that training never saw, as they were split then; none for fold "all"."""
        names: list[str] = self._fact("validation_cases", _is_list_of_names)
        return names

    @property
    def checkpoint_folder(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    def checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint by name: best, last, swa, ema, epoch_0049."""
        return self.checkpoint_folder / f"{name}.pt"

    def available(self) -> list[str]:
        """Return the names of the checkpoints that are there, best first."""
        names = sorted(path.stem for path in self.checkpoint_folder.glob("*.pt"))
        return [n for n in _ORDER if n in names] + [n for n in names if n not in _ORDER]

    def selected(self) -> Selected | None:
        """Read selected.json; None when nothing was selected yet."""
        path = self.path / "selected.json"
        if not path.is_file():
            return None
        content = _read_json(path)
        try:
            name, threshold = str(content["checkpoint"]), content["threshold"]
            cut = None if threshold is None else float(threshold)
            digest, steps = content.get("checkpoint_sha256"), content.get("postprocess")
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{path}: needs checkpoint and threshold; write it anew with validate_distribution"
            ) from None
        if cut is not None and not 0.0 <= cut <= 1.0:
            raise InputError(f"{path}: threshold must be from 0 to 1 or null, found {cut}")
        if name not in self.available():
            raise InputError(
                f"{path}: checkpoint must be one of {', '.join(self.available())}, found {name!r}"
            )
        chain = None if steps is None else read_chain(steps, f"{path}: postprocess")
        return Selected(name, cut, digest, chain)

    def create(self, config: Config, facts: dict[str, Any]) -> None:
        """Make the folder with config.yaml and run.json; what a killed process left goes."""
        with writing(self.path):
            self.checkpoint_folder.mkdir(parents=True, exist_ok=True)
            for half_written in _half_written(self.path):
                half_written.unlink()
            write_text(self.config_file, dump_config(config))
            text = json.dumps({"version": VERSION, **facts, **_software()}, indent=2)
            write_text(self.path / "run.json", text + "\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other training processes out of the folder; a killed process's lock is gone.

        Raises:
            InputError: Another process trains here, or the folder cannot be written.
        """
        with writing(self.path):
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
            if not (self.path / "run.json").is_file():  # nothing came of it: leave no trace
                with suppress(OSError):
                    (self.path / "run.lock").unlink(missing_ok=True)
                    self.path.rmdir()

    @property
    def started(self) -> str | None:
        """When the run began; None for one that is not there yet."""
        if not (self.path / "run.json").is_file():
            return None
        started: str | None = self._fact("started", lambda it: it is None or isinstance(it, str))
        return started

    def _fact(self, name: str, fits: Callable[[Any], bool]) -> Any:
        """An entry of run.json, which a hand may have changed."""
        path = self.path / "run.json"
        value = _read_json(path).get(name)
        if not fits(value):
            raise InputError(f"{path}: {name} is not what training wrote, found {value!r:.60}")
        return value


def _half_written(folder: Path) -> list[Path]:
    """What a process that was killed while it wrote left behind."""
    patterns = ("*.partial*", "*/*.partial", ".report.html.*")
    return [path for pattern in patterns for path in folder.glob(pattern)]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write into one sentence."""
    try:
        yield
    except OSError as fault:
        raise InputError(
            f"{fault.filename or path}: cannot be written ({fault.strerror or fault}); what was "
            "saved before is whole: make room or give the permission, then go on with --resume"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{path}: cannot be read as JSON: {fault}") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise InputError(f"{path}: version must be {VERSION}; it was not written by this vesuv")
    return content


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _software() -> dict[str, Any]:
    packages = ("torch", "monai", "numpy", "zarr")
    return {
        "vesuv": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def _git_commit() -> str | None:
    """Commit of the source tree that runs; None when it is an installed package."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def differences(old: Config, new: Config) -> list[str]:
    """Return the dotted keys in which two configurations differ."""
    flat_old, flat_new = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return sorted(
        key for key in flat_old.keys() | flat_new.keys() if flat_old.get(key) != flat_new.get(key)
    )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
