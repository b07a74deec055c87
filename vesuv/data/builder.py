"""Prepare the data set of a configuration, or open its existing store."""

from __future__ import annotations

from dataclasses import replace

from vesuv.config import Config
from vesuv.data.fingerprint import check_fits
from vesuv.data.folds import load_folds
from vesuv.data.records import write_record
from vesuv.data.store import FORMER_SUMMARY, INDEX, SUMMARY, Store, store_path
from vesuv.data.store_builder import build_store
from vesuv.data.summary import summarise_cases
from vesuv.errors import InputError
from vesuv.io.atomic import catch_write_errors, clear_leftovers
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

    Args:
        config: Sections data, labels and the patch size are used.
        overwrite: Replace an existing store.
        workers: Number of cases read in parallel; chosen for the machine when left out.
        progress: Called with finished cases and all cases.
        notes: Called with sentences for the user.

    Raises:
        InputErrors: Every case that cannot be used, one sentence each; nothing is written.
    """
    with catch_write_errors(store_path(config)):
        clear_leftovers(store_path(config))
    if is_prepared(config) and not overwrite:
        return _update_patch_size(open_matching_store(config), config)
    store = build_store(config, store_path(config), workers, progress, notes)
    load_folds(store, config.data.folds)
    return store


def open_or_prepare_store(config: Config) -> Store:
    """Open the store of a configuration; prepare it when it does not exist.

    Raises:
        InputErrors: The store was made from other settings or data, or cannot be made.
    """
    return open_matching_store(config) if is_prepared(config) else prepare(config)


def open_matching_store(config: Config) -> Store:
    """Open an existing store and check that it matches the configuration.

    Raises:
        InputErrors: The store is damaged, or was made from other settings or data.
    """
    store = Store.open(store_path(config))
    check_fits(store.path, store.settings, store.sources, config)
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
