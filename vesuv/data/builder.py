"""Prepare the data set of a configuration, or open the store that was prepared before."""

from __future__ import annotations

from collections.abc import Callable
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
from vesuv.types import Progress, no_progress


def no_notes(_note: str) -> None:
    """Ignore notes for the user."""


def prepare(
    config: Config,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress = no_progress,
    notes: Callable[[str], None] = no_notes,
) -> Store:
    """Make the store and its summary, or open them when they fit the configuration already.

    Args:
        config: Sections data, labels and the patch size are used.
        overwrite: Make the store again although there is one.
        workers: Cases read at a time; chosen for the machine when left out.
        progress: Called with finished cases and all cases.
        notes: Called with sentences that the user should read.

    Raises:
        InputErrors: Every case that cannot be used, one sentence each; nothing is written then.
    """
    with catch_write_errors(store_path(config)):
        clear_leftovers(store_path(config))
    if is_prepared(config) and not overwrite:
        return _with_patch_size(open_fitting(config), config)
    store = build_store(config, store_path(config), workers, progress, notes)
    load_folds(store, config.data.folds)
    return store


def open_prepared(config: Config) -> Store:
    """Open the store of a configuration; prepare it when there is none yet.

    Raises:
        InputErrors: It was made from other settings or data, or cannot be made.
    """
    return open_fitting(config) if is_prepared(config) else prepare(config)


def open_fitting(config: Config) -> Store:
    """Open an existing store and check that it fits the configuration.

    Raises:
        InputErrors: It is damaged, or was made from other settings or data.
    """
    store = Store.open(store_path(config))
    check_fits(store.path, store.settings, store.sources, config)
    return store


def is_prepared(config: Config) -> bool:
    """Return whether the configuration's store is there.

    Raises:
        InputError: In its place is something else, which preparing would replace.
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


def _with_patch_size(store: Store, config: Config) -> Store:
    """Count patches again where the summary was made for another patch size."""
    if store.summary.patch_size == config.sampling.patch_size:
        return store
    summary = summarise_cases(list(store.cases.values()), config.labels, config.sampling.patch_size)
    write_record(store.path / SUMMARY, summary)
    (store.path / FORMER_SUMMARY).unlink(missing_ok=True)
    return replace(store, summary=summary)
