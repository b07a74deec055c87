"""Pre-training: masked reconstruction of unlabelled volumes with the network of a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vesuv.config import Config, as_config
from vesuv.data.builder import check_recorded_store
from vesuv.data.case_paths import CasePaths
from vesuv.data.fingerprint import Settings, Sources, fingerprint, settings_of, stamp
from vesuv.data.folds import Folds
from vesuv.data.store import INDEX, Store, store_path
from vesuv.data.store_builder import RawData, write_store
from vesuv.errors import InputError, InputErrors
from vesuv.inference.inputs import find_inputs
from vesuv.io.lock import hold_lock
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import for_training, resolve
from vesuv.training.fold_data import TrainingData
from vesuv.training.reporting import SILENT, Listener
from vesuv.training.run_start import check_folder
from vesuv.training.train import TrainedRun, train_fold
from vesuv.types import Progress, Say, no_progress, silent


def pretrain(
    config: Config | Mapping[str, Any] | str | Path,
    volumes: Sequence[str | Path] = (),
    *,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    listener: Listener = SILENT,
) -> TrainedRun:
    """Pre-train the network of a configuration on unlabelled volumes, by masked reconstruction.

    Args:
        config: The whole configuration: an object, nested mappings, or a YAML file.
        volumes: Volumes, and folders of volumes; none for a run that goes on.
        output: The run's folder. Left out: log/<configuration>/pretrain.
        resume: Continue from checkpoints/last.pt.
        overwrite: Replace an existing run.
        listener: Receives the lines of train.log and the progress.

    Raises:
        InputError: The configuration or the volumes are wrong, or the folder holds a run.
        Interrupted: SIGTERM or Ctrl-C was received; the run is saved.
    """
    config = as_pretraining(as_config(config))
    run = RunFolder(Path(output) if output else pretraining_folder(config))
    check_folder(run, resume=resume, overwrite=overwrite)
    if resume:
        store = recorded_store(run, volumes)
    else:
        store = prepare_unlabelled(config, find_unlabelled(config, [Path(one) for one in volumes]))
    config = with_store(config, store)
    trainer = train_fold(
        config,
        unlabelled_data(store, config),
        "all",
        run,
        for_training(resolve(config.runtime), config),
        listener,
        resume=resume,
        overwrite=overwrite,
    )
    return TrainedRun.of(trainer)


def as_pretraining(config: Config) -> Config:
    """Return the configuration of a pre-training."""
    train = config.train.model_copy(update={"task": "reconstruction"})
    validation = config.validation.model_copy(update={"full_every": None})
    return config.model_copy(update={"train": train, "validation": validation})


def with_store(config: Config, store: Store) -> Config:
    """Return the configuration with the store of the unlabelled volumes."""
    data = config.data.model_copy(update={"store": str(store.path)})
    return config.model_copy(update={"data": data})


def recorded_store(run: RunFolder, volumes: Sequence[str | Path] = ()) -> Store:
    """Open the prepared volumes of a pre-training that goes on.

    Args:
        run: The pre-training.
        volumes: Volumes of the caller, which are refused.

    Raises:
        InputError: They are gone, or the caller names volumes.
    """
    if volumes:
        raise InputError(
            f"--resume: goes on with the volumes of {run.path}, found {volumes[0]!s:.200} too; "
            "leave it out, or start a new run with --output DIR"
        )
    config = run.config
    check_recorded_store(config, run.path)
    return Store.open(store_path(config))


def pretraining_folder(config: Config) -> Path:
    """Return the default folder of a pre-training."""
    return Path("log") / config.name / "pretrain"


def find_unlabelled(config: Config, paths: Sequence[Path]) -> list[CasePaths]:
    """List unlabelled volumes, sorted by name.

    Args:
        config: Sections data, labels and the model's channels are used.
        paths: Volumes, and folders of volumes, in any format that `vesuv.io` reads.

    Raises:
        InputErrors: A path holds no volume, or two volumes have one name.
    """
    if not paths:
        raise InputError("DATA: needs at least one volume or folder of volumes, found none")
    num_channels = config.model.written_channels or 1
    (_, (fill, *_)) = config.labels.values()[1]
    cases: dict[str, CasePaths] = {}
    faults = []
    for path in paths:
        try:
            volumes = find_inputs(path, num_channels=num_channels)
        except InputError as fault:
            faults.append(str(fault).replace("check --input", "check the path"))
            continue
        for volume in volumes:
            if volume.id in cases and cases[volume.id].images != volume.files:
                faults.append(
                    f"{volume.files[0]}: {cases[volume.id].images[0]} has the same name; rename one"
                )
            level = config.data.level
            cases[volume.id] = CasePaths(
                volume.id, volume.files, None, None, level=level, fill=fill
            )
    if faults:
        raise InputErrors(faults)
    return [cases[name] for name in sorted(cases)]


def unlabelled_store(config: Config, files: Sequence[CasePaths]) -> Path:
    """Return the folder of the prepared volumes: beside the labelled data, one for each selection.

    Args:
        config: Section data is used.
        files: The volumes.
    """
    key = fingerprint(_settings(config), _sources(files))
    labelled = store_path(config)
    return labelled.with_name(f"{labelled.name}_unlabelled_{key}")


def prepare_unlabelled(
    config: Config,
    files: Sequence[CasePaths],
    *,
    progress: Progress = no_progress,
    notes: Say = silent,
) -> Store:
    """Prepare unlabelled volumes as the labelled ones of a configuration are, or open their store.

    Every voxel counts as foreground, so that percentiles are those of the whole volume.

    Raises:
        InputErrors: Every volume that cannot be used, one sentence each; nothing is written.
    """
    path = unlabelled_store(config, files)
    path.parent.mkdir(parents=True, exist_ok=True)
    message = f"{path}: {{holder}} is preparing this store; waiting for it"
    with hold_lock(path.with_name(f".{path.name}.lock"), message, wait=notes):
        if (path / INDEX).is_file():
            return Store.open(path)
        raw = RawData(files, _settings(config), _sources(files))
        return write_store(config, raw, path, None, progress, notes)


def unlabelled_data(store: Store, config: Config) -> TrainingData:
    """Return all volumes of a store for training, none held out."""
    folds = Folds(tuple(sorted(store.cases)), (), config.data.folds.num)
    return TrainingData(store.cases, folds, store.fingerprint, store.path)


def _settings(config: Config) -> Settings:
    return settings_of(config) | {"unlabelled": True}


def _sources(files: Sequence[CasePaths]) -> Sources:
    return {str(path.absolute()): stamp(path) for case in files for path in case.images}
