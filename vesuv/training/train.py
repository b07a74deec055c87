"""Train one fold into one run folder, from a store or from cases in memory."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.config import Config, as_config
from vesuv.data.builder import open_or_prepare_store
from vesuv.data.case import Case
from vesuv.data.preparation import prepare_in_memory
from vesuv.data.store import store_path
from vesuv.errors import InputError
from vesuv.inference.training_images import training_images
from vesuv.io.places import contains
from vesuv.runs.checkpoints import read_newest
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Finding
from vesuv.runtime.machine import Machine, for_training, resolve
from vesuv.training.fold_data import FoldName, TrainingData, fold_data, with_channels
from vesuv.training.pretrained import held_out_notes, read_pretrained
from vesuv.training.reporting import SILENT, Listener
from vesuv.training.resumption import check_same_cases, check_same_run
from vesuv.training.run_start import check_folder, machine_facts, record_start
from vesuv.training.trainer import Trainer

_IN_MEMORY = "cases in memory"


@dataclass(frozen=True)
class TrainedRun:
    """Result of a training.

    Args:
        folder: The run's folder.
        best_measure: Best measure on the validation tiles; None: there was no validation.
        best_epoch: Epoch of the best measure.
        findings: Findings of the diagnosis.
    """

    folder: RunFolder
    best_measure: float | None
    best_epoch: int
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, trainer: Trainer) -> TrainedRun:
        """Return the result of a trainer that has ended."""
        progress = trainer.progress
        return cls(trainer.run, progress.best_measure, progress.best_epoch, trainer.findings)

    @property
    def path(self) -> Path:
        """Path of the run's folder, for `vesuv.load` and the command line."""
        return self.folder.path


def train(
    config: Config | Mapping[str, Any] | str | Path,
    *,
    cases: Sequence[Case] | None = None,
    fold: FoldName = 0,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    listener: Listener = SILENT,
) -> TrainedRun:
    """Train one fold.

    Args:
        config: The whole configuration: an object, nested mappings, or a YAML file.
        cases: The data set; left out: the cases in `data.root`, prepared if needed.
        fold: Fold number, or "all" for every case in training.
        output: The run's folder. Left out: log/<configuration>/fold_<k>; for cases in memory a
            temporary folder, which is deleted with the returned object; a run that ends early
            leaves it behind once a checkpoint was saved.
        resume: Continue from checkpoints/last.pt.
        overwrite: Replace an existing run.
        listener: Receives the lines of train.log and the progress.

    Raises:
        InputError: The configuration or the data are wrong, or the folder holds a run.
        Interrupted: SIGTERM or Ctrl-C was received; the run is saved.
    """
    config = as_config(config if cases is None else _with_memory_root(config))
    machine = for_training(resolve(config.runtime), config)
    temporary = None
    if output is None and cases is not None:
        output = temporary = tempfile.mkdtemp(prefix="vesuv-")
    run = RunFolder(Path(output) if output else default_folder(config, fold))
    try:
        check_folder(run, resume=resume, overwrite=overwrite)
        if cases is None:
            check_apart(run, config)
            data = TrainingData.of_store(open_or_prepare_store(config), config)
        else:
            data = TrainingData.in_memory(prepare_in_memory(cases, config), config)
        trainer = train_fold(
            config, data, fold, run, machine, listener, resume=resume, overwrite=overwrite
        )
    except BaseException:
        if temporary and not run.checkpoints():
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    trained = TrainedRun.of(trainer)
    if temporary:
        weakref.finalize(trained, shutil.rmtree, temporary, ignore_errors=True)
    return trained


def default_folder(config: Config, fold: FoldName) -> Path:
    """Return the default folder of a run."""
    return Path("log") / config.name / f"fold_{fold}"


def train_fold(
    config: Config,
    data: TrainingData,
    fold: FoldName,
    run: RunFolder,
    machine: Machine,
    listener: Listener = SILENT,
    *,
    resume: bool = False,
    overwrite: bool = False,
    origin: Mapping[str, Any] | None = None,
    pause_seconds: float | None = None,
) -> Trainer:
    """Train one fold of prepared data; every process of a distributed run calls it.

    Args:
        config: The whole configuration; `model.in_channels` becomes that of the data.
        data: All cases and their split.
        fold: Fold number, or "all".
        run: The run's folder.
        machine: Device, precision and processes.
        listener: Receives the lines of train.log and the progress.
        resume: Continue from checkpoints/last.pt.
        overwrite: Replace an existing run.
        origin: Facts about the origin of the configuration, added to run.json.
        pause_seconds: End after the first epoch that ends later than this, to be resumed.

    Returns:
        The trainer after training.

    Raises:
        InputError: The data are wrong, or the folder holds a run.
        Interrupted: SIGTERM or Ctrl-C was received; the run is saved.
    """
    group = machine.group
    config = with_channels(config, data)
    with run.lock() if group.is_main else nullcontext():
        if group.is_main:
            check_folder(run, resume=resume, overwrite=overwrite)
        group.wait()
        pretrained = None
        if config.train.pretrained is not None and not resume:
            pretrained = read_pretrained(Path(config.train.pretrained))
        trainer = Trainer(config, fold_data(data, config, fold), run, machine, listener)
        loaded = None
        if pretrained is not None:
            loaded = trainer.state.start_from(pretrained)
            held_out = trainer.data.held_out_ids
            trainer.state.pretrained_lines += held_out_notes(pretrained, held_out)
        if resume:
            check_same_run(config, data, fold, run)
            check_same_cases(trainer.data, fold, run)
            _resume(trainer)
        if group.is_main:
            facts = {**_run_facts(trainer, data, fold), **(origin or {})}
            facts["pretrained"] = run.facts.pretrained if resume else loaded and loaded.record()
            recorded = with_absolute_paths(config) if data.store else config
            record_start(run, recorded, facts, resume=resume)
        group.wait()
        trainer.fit(pause_seconds)
    return trainer


def check_apart(run: RunFolder, config: Config) -> None:
    """Refuse a run's folder that holds the raw data, or lies in the prepared store.

    Raises:
        InputError: Names both folders.
    """
    root, store = Path(config.data.root), store_path(config)
    if contains(run.path, root):
        raise InputError(
            f"--output: {run.path} must not hold the raw data, found data.root {root} in it; name "
            "a folder of its own"
        )
    if contains(store, run.path):
        raise InputError(
            f"--output: {run.path} must not lie in data.store {store}, which preparation replaces; "
            "name a folder of its own"
        )


def _with_memory_root(config: Config | Mapping[str, Any] | str | Path) -> Any:
    """Add data.root to mappings without it, for cases in memory."""
    if not isinstance(config, Mapping):
        return config
    section = config.get("data") or {}
    if not isinstance(section, Mapping):
        return config  # the configuration check reports it
    return {"name": "in_memory", **config, "data": {"root": _IN_MEMORY, **section}}


def with_absolute_paths(config: Config) -> Config:
    """Return the configuration as a run records it: its data are found from any folder."""
    root, store = Path(config.data.root).absolute(), store_path(config).absolute()
    cubes = tuple(str(Path(folder).absolute()) for folder in config.data.cubes)
    paths = {"root": str(root), "store": str(store), "cubes": cubes}
    data = config.data.model_copy(update=paths)
    return config.model_copy(update={"data": data})


def _run_facts(trainer: Trainer, data: TrainingData, fold: FoldName) -> dict[str, Any]:
    cases = trainer.data
    return {
        "fold": fold,
        **machine_facts(trainer.machine, trainer.config.runtime.seed),
        "data_fingerprint": data.fingerprint,
        "store": str(data.store) if data.store else None,
        "train_cases": [case.id for case in cases.train],
        "validation_cases": [] if fold == "all" else [case.id for case in cases.validation],
        "training_images": training_images(cases.train, cases.normalizer).model_dump(mode="json"),
    }


def _resume(trainer: Trainer) -> None:
    run = trainer.run
    checkpoint, fault = read_newest(run.checkpoint("last"))
    trainer.resume(checkpoint, *([f"{fault}; used the one before it"] if fault else []))
    if len(set(trainer.group.gather_objects(trainer.position))) > 1:
        raise InputError(
            f"{run.path}: the processes found different checkpoints there; the run's folder must "
            "be on a file system that all machines share"
        )
