"""Prepare the data set of a configuration, or open its existing store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vesuv.config import Config
from vesuv.data.fingerprint import check_fits
from vesuv.data.folds import FILE as FOLDS_FILE
from vesuv.data.folds import load_folds
from vesuv.data.layouts import check_root, volume_folders
from vesuv.data.preparation import channel_faults
from vesuv.data.records import write_record
from vesuv.data.splits import splits_file
from vesuv.data.store import FORMER_SUMMARY, INDEX, SUMMARY, Store, check_only_store, store_path
from vesuv.data.store_builder import build_store, check_cases
from vesuv.data.summary import summarise_cases
from vesuv.errors import InputError, InputErrors
from vesuv.io.atomic import catch_write_errors, has_temporaries, restore_folder
from vesuv.io.lock import hold_lock
from vesuv.io.places import contains
from vesuv.types import Progress, Say, no_progress, silent


def prepare(
    config: Config,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress = no_progress,
    notes: Say = silent,
) -> Store:
    """Make the store and its summary, or open an existing store that matches the configuration.

    Where another process prepares the same store, its end is waited for. Cases that a killed one
    had finished are taken over if settings and raw files are equal.

    Args:
        config: Sections data, labels, the model's channels and the patch size are used.
        overwrite: Replace an existing store.
        workers: Number of cases read in parallel; chosen for the machine when left out.
        progress: Called with finished cases and all cases.
        notes: Called with sentences for the user.

    Raises:
        InputErrors: Every case that cannot be used, one sentence each; nothing is written. Or the
            store would hold the raw data or lie among them, or holds files of the user.
    """
    path = store_path(config)
    _check_apart(path, config)
    if not overwrite and not has_temporaries(path.resolve()) and is_prepared(config):
        store = open_matching_store(config, notes)
        if store.summary.patch_size == config.sampling.patch_size:
            return _with_folds(store, config)  # without the lock: the folder may be read-only
    if overwrite or not (has_temporaries(path.resolve()) or is_prepared(config)):
        check_root(config.data)
    with _store_lock(path, notes):
        if is_prepared(config):
            if not overwrite:
                restore_folder(path.resolve(), INDEX)  # nobody takes over what is unfinished
                store = _update_patch_size(open_matching_store(config, notes), config)
                return _with_folds(store, config)
            check_only_store(path)
        return _with_folds(build_store(config, path, workers, progress, notes), config)


def _with_folds(store: Store, config: Config) -> Store:
    """Draw the folds where folds.yaml is missing: it is written after the store."""
    if not (store.path / FOLDS_FILE).is_file():
        load_folds(store, config.data.folds, splits_file(config.data))
    return store


def check_preparation(
    config: Config,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
    notes: Say = silent,
) -> list[Path]:
    """Do all checks of `prepare`, and write nothing.

    Returns:
        The raw files that preparation would read; none where the store is up to date.

    Raises:
        InputErrors: As `prepare`.
    """
    path = store_path(config)
    _check_apart(path, config)
    if is_prepared(config):
        if not overwrite:
            open_matching_store(config, notes)
            return []
        check_only_store(path)
    check_root(config.data)
    files = [(*case.images, case.label) for case in check_cases(config, progress, notes)]
    return [file for case_files in files for file in case_files if file is not None]


@contextmanager
def _store_lock(path: Path, notes: Say) -> Iterator[None]:
    """Keep other processes from preparing the store, and undo what a killed one left half done."""
    folder = path.resolve()
    message = f"{path}: {{holder}} is preparing this store; waiting for it"
    with catch_write_errors(path):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(folder.with_name(f".{folder.name}.lock"), message, wait=notes):
            restore_folder(folder, INDEX, keep_unfinished=True)
            yield


def _check_apart(path: Path, config: Config) -> None:
    """Refuse a store that would replace the raw data, or hide among them."""
    root = Path(config.data.root)
    if contains(path, root):
        raise InputError(
            f"data.store: {path} must not hold the raw data, found data.root {root} in it; give "
            "data.store a folder of its own"
        )
    for folder in volume_folders(config.data):
        if contains(folder, path):
            raise InputError(
                f"data.store: {path} must not lie among the raw volumes, found it in {folder}; "
                "give data.store a folder of its own"
            )


def open_or_prepare_store(config: Config) -> Store:
    """Open the store of a configuration; prepare it when it does not exist.

    Raises:
        InputErrors: The store was made from other settings or data, or cannot be made.
    """
    return open_matching_store(config) if is_prepared(config) else prepare(config)


def check_recorded_store(config: Config, run: Path) -> None:
    """Refuse a missing store of a run, which must not be prepared a second time by surprise.

    Raises:
        InputError: Says how to name the place that it moved to.
    """
    if not is_prepared(config):
        path = store_path(config)
        raise InputError(
            f"{run}: the prepared data of its training are no longer in {path}; name their new "
            f"place with --set data.store=..., or prepare them again with --set data.store={path}"
        )


def open_matching_store(config: Config, notes: Say = silent) -> Store:
    """Open an existing store and check that it matches the configuration.

    Args:
        config: The whole configuration.
        notes: Called with a sentence where the contents of raw files have to be compared.

    Raises:
        InputErrors: The store is damaged, or was made from other settings or data.
    """
    store = Store.open(store_path(config))
    check_fits(store.path, store.settings, store.sources, config, notes)
    attributes = (case.attributes for case in store.cases.values())
    faults = channel_faults(attributes, config.model.written_channels)
    if faults:
        raise InputErrors(faults)
    return store


def is_prepared(config: Config) -> bool:
    """Return whether the configuration's store exists.

    Raises:
        InputError: Its path holds other files, which preparation would replace.
    """
    path = store_path(config)
    if (path / INDEX).is_file():
        return True
    if path.is_dir() and any(path.iterdir()):
        raise InputError(
            f"{path}: holds files but no prepared store; give data.store an empty or new folder"
        )
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; give data.store an empty or new folder")
    return False


def _update_patch_size(store: Store, config: Config) -> Store:
    """Update the summary when it was made for another patch size."""
    if store.summary.patch_size == config.sampling.patch_size:
        return store
    summary = summarise_cases(list(store.cases.values()), config.labels, config.sampling.patch_size)
    write_record(store.path / SUMMARY, summary)
    (store.path / FORMER_SUMMARY).unlink(missing_ok=True)
    return replace(store, summary=summary)
