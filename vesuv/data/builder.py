"""Raw data -> store: read, check, encode, resample, count; every bad case named at once."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vesuv.cli.progress import cases_progress
from vesuv.config import Config
from vesuv.data.case_builder import prepare_case
from vesuv.data.fingerprint import check_fits, fingerprint, settings_of, sources_of
from vesuv.data.folds import FILE as FOLDS_FILE
from vesuv.data.folds import load_folds, read_folds
from vesuv.data.layouts import RawCase, check_dataset_json, scan_cases
from vesuv.data.statistics import merge_statistics
from vesuv.data.store import CENSUS, INDEX, VERSION, Store, case_path, open_case, store_path
from vesuv.data.summary import take_census
from vesuv.errors import InputError, InputErrors

_MOST_WORKERS = 8
"""Threads beyond this wait for the disk."""
_TABLE_ROWS = 24


def prepare(config: Config, *, overwrite: bool = False, workers: int | None = None) -> Store:
    """Make the store and its census, or open them when they fit the configuration already.

    Args:
        config: Sections data, labels and the patch size are used.
        overwrite: Make the store again although there is one.
        workers: Cases read at a time; chosen for the machine when left out.

    Raises:
        InputErrors: Every case that cannot be used, one sentence each; nothing is written then.
    """
    console = Console(highlight=False, soft_wrap=True)
    path = store_path(config)
    start = time.monotonic()
    if _is_store(path) and not overwrite:
        store, verb = _with_census(open_fitting(config), config), "is up to date"
    else:
        store, verb = _make(config, path, workers, console), "prepared"
        load_folds(store, config.data.folds)
    _show(store, config, console)
    seconds = time.monotonic() - start
    number = "1 case" if len(store.cases) == 1 else f"{len(store.cases)} cases"
    console.print(f"{path}: {number}, {verb} ({seconds:.1f} s)", markup=False)
    return store


def open_prepared(config: Config) -> Store:
    """Open the store of a configuration; prepare it when there is none yet.

    Raises:
        InputErrors: It was made from other settings or data, or cannot be made.
    """
    return open_fitting(config) if _is_store(store_path(config)) else prepare(config)


def open_fitting(config: Config) -> Store:
    """Open an existing store and check that it fits the configuration.

    Raises:
        InputErrors: It is damaged, or was made from other settings or data.
    """
    store = Store.open(store_path(config))
    check_fits(store.path, store.settings, store.sources, config)
    return store


def _is_store(path: Path) -> bool:
    """Refuse a folder that holds anything else: it would be replaced."""
    if (path / INDEX).is_file():
        return True
    if path.is_dir() and any(path.iterdir()):
        raise InputError(
            f"{path}: holds files but no prepared store; give data.store an empty or new folder"
        )
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; give data.store an empty or new folder")
    return False


def _make(config: Config, path: Path, workers: int | None, console: Console) -> Store:
    """Build beside the final place and move there when every case is good."""
    if config.data.layout == "nnunet":
        check_dataset_json(Path(config.data.root), config.labels)
    cases, faults = scan_cases(config.data)
    settings, sources = settings_of(config), sources_of(Path(config.data.root), cases)
    with _building(path) as partial:
        faults += _prepare_cases(cases, config, partial, workers, console)
        if faults:
            raise InputErrors(sorted(faults))
        stored = [open_case(case_path(partial, case.id)) for case in cases]
        index = {
            "version": VERSION,
            "fingerprint": fingerprint(settings, sources),
            "settings": settings,
            "sources": sources,
            "cases": [case.id for case in cases],
            "dataset_statistics": merge_statistics(case.statistics for case in stored).state(),
        }
        census = take_census(stored, config.labels, config.sampling.patch_size)
        _write_json(partial / CENSUS, census)
        _write_json(partial / INDEX, index)
        _keep_folds(path, partial, config, console)
        _move(partial, path)
    return Store.open(path)


def _prepare_cases(
    cases: list[RawCase], config: Config, folder: Path, workers: int | None, console: Console
) -> list[str]:
    """Prepare all cases, threads side by side: decoding and counting release the interpreter.

    Returns:
        What is wrong, one sentence a fault.
    """
    faults: list[str] = []
    channels: dict[str, int] = {}
    with (
        ThreadPoolExecutor(workers or min(_cores(), _MOST_WORKERS)) as pool,
        cases_progress(console, "Preparing") as tell,
    ):
        running = {pool.submit(prepare_case, case, config, folder): case.id for case in cases}
        try:
            for number, done in enumerate(as_completed(running), start=1):
                try:
                    channels[running[done]] = done.result()
                except InputError as fault:
                    faults += fault.faults if isinstance(fault, InputErrors) else [str(fault)]
                tell(number, len(cases))
        finally:  # Ctrl-C or a full disk: do not go through the remaining cases first
            pool.shutdown(wait=True, cancel_futures=True)
    usual = Counter(channels.values()).most_common(1)
    faults += [
        f"case {case_id}: cases have one number of channels, found {num} against {usual[0][0]} in "
        "most; add or remove channels"
        for case_id, num in sorted(channels.items())
        if num != usual[0][0]
    ]
    return faults


@contextmanager
def _building(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`; what is left of it afterwards is removed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        if not _alive(leftover.name.split(".")[-2]):
            shutil.rmtree(leftover, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
    except OSError as fault:
        raise InputError(
            f"{path}: cannot be written ({fault.strerror or fault}); check folder and space"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, path: Path) -> None:
    """Put the finished store in its place; the old one goes only now."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old.partial")
    if path.exists():
        path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _keep_folds(path: Path, partial: Path, config: Config, console: Console) -> None:
    """Carry an edited folds.yaml over to the new store when it still fits."""
    file = path / FOLDS_FILE
    if not file.is_file():
        return
    ids = json.loads((partial / INDEX).read_text(encoding="utf-8"))["cases"]
    try:
        read_folds(file, ids, config.data.folds)
    except InputError as fault:
        console.print(f"{file} is drawn again: {fault}", markup=False)
    else:
        shutil.copy2(file, partial / FOLDS_FILE)


def _with_census(store: Store, config: Config) -> Store:
    """Count patches again when another patch size is asked for."""
    if store.census["patch_size"] == list(config.sampling.patch_size):
        return store
    census = take_census(list(store.cases.values()), config.labels, config.sampling.patch_size)
    partial = store.path / f".{CENSUS}.{os.getpid()}"
    _write_json(partial, census)
    partial.replace(store.path / CENSUS)
    return replace(store, census=census)


def _show(store: Store, config: Config, console: Console) -> None:
    """Print label values, then classes and patches by group (by case where there is no group)."""
    census = store.census
    names = {value: name for name, values in config.labels.values() for value in values}
    if config.labels.ignore is not None:
        names[config.labels.ignore] = "ignore"
    values = (
        f"{value} {names.get(int(value), 'not declared')} {share:.2%}"
        for value, share in census["values"].items()
    )
    console.print(f"label values: {', '.join(values)}", markup=False)
    rows = census["groups"] or census["cases"]
    patch = "x".join(map(str, census["patch_size"]))
    table = Table(title=None)
    table.add_column("group" if census["groups"] else "case")
    columns = ["cases", *config.labels.names, "ignored", f"{patch} patches with foreground"]
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in list(rows.items())[:_TABLE_ROWS]:
        table.add_row(name, *_cells(row))
    if len(rows) > _TABLE_ROWS:
        table.add_row(f"… {len(rows) - _TABLE_ROWS} more in {CENSUS}")
    table.add_row("all", *_cells(census), style="bold")
    console.print(table)
    without = [name for name, row in census["cases"].items() if not row["foreground"]]
    if without:
        console.print(
            f"{len(without)} of {len(store.cases)} cases hold no foreground, first {without[0]}",
            markup=False,
        )


def _cells(row: dict[str, Any]) -> list[str]:
    shares = [*row["classes"].values(), row["ignore"], row["patches_with_foreground"]]
    return [str(row.get("num_cases", 1)), *(f"{share:.2%}" for share in shares)]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
