"""Building a store from raw files: every unusable case is named, and only a whole store written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vesuv.config import Config
from vesuv.data.case_builder import Plan, SourceDigests, prepare_cases, read_prepared
from vesuv.data.case_paths import CasePaths
from vesuv.data.content_digests import FILE as DIGESTS
from vesuv.data.content_digests import DigestRecord, read_digests
from vesuv.data.cubes import cube_notes
from vesuv.data.fingerprint import (
    Settings,
    Sources,
    contents_of,
    fingerprint,
    same_settings,
    settings_of,
    source_paths,
    sources_of,
)
from vesuv.data.folds import FILE as FOLDS_FILE
from vesuv.data.folds import FORMER_FILE as FORMER_FOLDS_FILE
from vesuv.data.folds import read_folds
from vesuv.data.large_case import check_large_case
from vesuv.data.layouts import scan_cases
from vesuv.data.nnunet import check_dataset_json, dataset_notes
from vesuv.data.preparation import CaseOutline, channel_faults, dataset_faults
from vesuv.data.records import VERSION, IndexRecord, read_record, write_record
from vesuv.data.splits import read_splits, splits_file
from vesuv.data.statistics import merge_statistics
from vesuv.data.store import INDEX, SUMMARY, Store, StoredCase
from vesuv.data.summary import summarise_cases
from vesuv.data.unfinished import FILE as UNFINISHED
from vesuv.data.unfinished import take_over_cases
from vesuv.errors import InputError, InputErrors
from vesuv.io.atomic import atomic_replace, catch_write_errors, unfinished_folders
from vesuv.io.printable import number_of
from vesuv.migrations import STORE
from vesuv.types import Progress, Say

_MAX_WORKERS = 8
"""Upper bound of threads; more would wait for the disk."""


def build_store(
    config: Config,
    path: Path,
    workers: int | None,
    progress: Progress,
    notes: Say,
) -> Store:
    """Prepare every case, and write the store if all of them can be used.

    Args:
        config: Sections data, labels, the model's channels and the patch size are used.
        path: Folder of the store; an existing store is replaced.
        workers: Number of cases read in parallel; chosen for the machine when None.
        progress: Called with finished and all cases, of which a large one counts by its parts.
        notes: Called with sentences for the user.

    Raises:
        InputErrors: Every case that cannot be used, one sentence each; `path` is unchanged.
    """
    files, faults = _scan(config, notes)
    paths = source_paths(Path(config.data.root), files)
    raw = RawData(files, settings_of(config), sources_of(paths), faults, paths)
    return write_store(config, raw, path, workers, progress, notes)


@dataclass(frozen=True)
class RawData:
    """The files of a store that is to be made.

    Args:
        files: Files of each case.
        settings: Settings that the store depends on.
        sources: Stamps of the files.
        faults: Faults of incomplete cases, one sentence each.
        paths: Paths of the files whose contents get a digest.
    """

    files: Sequence[CasePaths]
    settings: Settings
    sources: Sources
    faults: Sequence[str] = ()
    paths: Mapping[str, Path] = field(default_factory=dict)


def write_store(
    config: Config,
    raw: RawData,
    path: Path,
    workers: int | None,
    progress: Progress,
    notes: Say,
) -> Store:
    """Prepare every case of some files, see `build_store`."""
    files, faults = raw.files, list(raw.faults)
    workers = workers or min(_cores(), _MAX_WORKERS)
    leftovers = unfinished_folders(path.resolve())
    with catch_write_errors(path), atomic_replace(path.resolve()) as folder:
        folder.mkdir()
        finished = _take_over(leftovers, folder, raw, notes)
        files = [one for one in files if one.id not in finished]
        plan = Plan.of(files, config, min(workers, len(files) or 1), progress, notes)
        digests = SourceDigests(raw.paths, raw.sources)
        cases, case_faults = prepare_cases(files, config, folder, workers, plan, digests)
        cases = sorted([*finished.values(), *cases], key=lambda case: case.id)
        attributes = [case.attributes for case in cases]
        for note in cube_notes(attributes, config.labels.ignore):
            notes(note)
        faults += case_faults + _faults_of_all(attributes, config)
        if faults:
            raise InputErrors(sorted(faults))
        summary = summarise_cases(cases, config.labels, config.sampling.patch_size)
        write_record(folder / SUMMARY, summary)
        record = digests.record()
        write_record(folder / DIGESTS, record)
        write_record(folder / INDEX, _index(cases, raw, _fingerprint(path, raw, record)))
        ids = [case.id for case in attributes if case.cut_from is None]
        _copy_folds(path / FOLDS_FILE, folder, ids, config, notes)
        (folder / UNFINISHED).unlink()
    return Store.open(path)


def _take_over(
    leftovers: Sequence[Path], folder: Path, raw: RawData, notes: Say
) -> dict[str, StoredCase]:
    """Return id -> case of those cases that a killed preparation had finished."""
    ids = [one.id for one in raw.files]
    cases = take_over_cases(leftovers, folder, raw.settings, raw.sources, ids)
    if cases:
        notes(
            f"{len(cases)} of {number_of(len(ids), 'case')} were prepared before vesuv was killed"
        )
    return {case.id: case for case in cases}


def check_cases(config: Config, progress: Progress, notes: Say) -> list[CasePaths]:
    """Read and check every case as `build_store` does, and write nothing.

    Raises:
        InputErrors: Every case that cannot be used, one sentence each.
    """
    files, faults = _scan(config, notes)
    plan = Plan.of(files, config, 1, progress, notes)
    outlines: list[CaseOutline] = []
    for one in files:
        try:
            volumes = plan.large.get(one.id)
            if volumes is None:
                outlines.append(read_prepared(one, config)[0])
                plan.finish_part()
            else:
                outlines.append(
                    check_large_case(volumes, config.labels, config.data.spacing, plan.finish_part)
                )
        except InputError as fault:
            faults += fault.faults if isinstance(fault, InputErrors) else [str(fault)]
    faults += _faults_of_all(outlines, config)
    if faults:
        raise InputErrors(sorted(faults))
    return files


def _faults_of_all(cases: Sequence[CaseOutline], config: Config) -> list[str]:
    faults = channel_faults(cases, config.model.written_channels)
    return faults + dataset_faults(cases, config.data.spacing)


def _scan(config: Config, notes: Say) -> tuple[list[CasePaths], list[str]]:
    """List the cases and the faults of incomplete ones, and check what is said about all of them.

    Raises:
        InputErrors: dataset.json contradicts the configuration, or a file of folds the cases.
    """
    root = Path(config.data.root)
    if config.data.layout == "nnunet":
        check_dataset_json(root, config.labels, config.model)
    files, faults = scan_cases(config.data)
    if config.data.layout == "nnunet":
        for note in dataset_notes(root, sum(case.cube is None for case in files)):
            notes(note)
    splits = splits_file(config.data)
    if splits is not None and not faults:
        read_splits(splits, [case.id for case in files if case.cube is None])
    return files, faults


def _fingerprint(former: Path, raw: RawData, digests: DigestRecord) -> str:
    """Hash settings and contents; a store that is made again of the same files keeps its own."""
    with suppress(OSError, InputError):
        index = read_record(former / INDEX, IndexRecord, STORE)
        contents = read_digests(former).digests or digests.digests  # none in former versions
        is_same = index.sources == raw.sources and contents == digests.digests
        if is_same and same_settings(index.settings, raw.settings):
            return index.fingerprint
    return fingerprint(raw.settings, contents_of(raw.sources, digests.digests))


def _index(cases: Sequence[StoredCase], raw: RawData, digest: str) -> IndexRecord:
    return IndexRecord(
        version=VERSION,
        fingerprint=digest,
        settings=raw.settings,
        sources=raw.sources,
        cases=[case.id for case in cases],
        dataset_statistics=merge_statistics(case.statistics for case in cases),
    )


def _copy_folds(file: Path, folder: Path, ids: Sequence[str], config: Config, notes: Say) -> None:
    """Copy folds.yaml of the former store, which the user may have edited.

    A file that is no longer valid gets another name.
    """
    if not file.is_file():
        return
    try:
        read_folds(file, ids, config.data.folds, splits_file(config.data))
    except InputError as fault:
        notes(f"{file} is drawn again: {fault}; it is kept as {FORMER_FOLDS_FILE}")
        shutil.copy2(file, folder / FORMER_FOLDS_FILE)
    else:
        shutil.copy2(file, folder / FOLDS_FILE)


def _cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
