"""The cases of a store: read, checked and written in threads, large ones part by part."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from vesuv.config import Config
from vesuv.data.case_files import LazyCase, file_names, read_case
from vesuv.data.case_paths import CasePaths
from vesuv.data.case_size import open_if_large
from vesuv.data.content_digests import DigestRecord
from vesuv.data.cubes import with_origin
from vesuv.data.fingerprint import Sources, unchanged_digest
from vesuv.data.large_case import num_parts_of, prepare_large_case
from vesuv.data.preparation import prepare_arrays
from vesuv.data.records import CaseAttributes
from vesuv.data.store import StoredCase, case_path, write_case
from vesuv.data.unlabelled import read_unlabelled
from vesuv.errors import InputError, InputErrors
from vesuv.types import Array, Progress, Say


def read_prepared(files: CasePaths, config: Config) -> tuple[CaseAttributes, dict[str, Array]]:
    """Read, check, encode, resample and measure one case.

    Raises:
        InputError: A file cannot be used; the message names it and the reason.
    """
    case = read_case(files) if files.fill is None else read_unlabelled(files)
    attributes, arrays = prepare_arrays(case, config.labels, config.data.spacing, file_names(files))
    return (with_origin(attributes, files.cube) if files.cube else attributes), arrays


def prepare_case(files: CasePaths, config: Config, store: Path) -> StoredCase:
    """Read, check, encode, resample, measure and write one case.

    Args:
        files: Its files, with a label.
        config: Sections data and labels are used.
        store: Folder of the store.

    Raises:
        InputError: A file cannot be used; the message names it and the reason.
    """
    attributes, arrays = read_prepared(files, config)
    return write_case(case_path(store, files.id), attributes, arrays)


@dataclass
class Plan:
    """Which cases are prepared part by part, and how many parts there are in all."""

    large: dict[str, LazyCase]
    """Case id -> its volumes."""
    num_parts: int
    """Parts of the large cases, and one for each other case."""
    progress: Progress
    num_finished: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(
        cls,
        files: Sequence[CasePaths],
        config: Config,
        num_workers: int,
        progress: Progress,
        notes: Say,
    ) -> Plan:
        spacing = config.data.spacing
        large, num_parts = {}, 0
        for one in files:
            volumes = None if one.cube else open_if_large(one, spacing, 1 / num_workers)
            if volumes is None:
                num_parts += 1
                continue
            large[one.id] = volumes
            num_case_parts = num_parts_of(volumes, spacing)
            num_parts += num_case_parts
            edges = "x".join(map(str, volumes.label.shape[1:]))
            notes(f"case {one.id}: {edges} voxels are prepared in {num_case_parts} parts")
        return cls(large, num_parts, progress)

    def finish_part(self) -> None:
        """Report the progress; called by several threads."""
        with self.lock:
            self.num_finished += 1
            self.progress(self.num_finished, self.num_parts)


class SourceDigests:
    """Digests of raw files, each read once: behind its case, while it lies in the system's cache.

    Args:
        paths: Raw file or folder -> path.
        sources: Raw file or folder -> stamp; a file that gets another one meanwhile has no digest.
    """

    def __init__(self, paths: Mapping[str, Path], sources: Sources) -> None:
        self._names = {path: name for name, path in paths.items()}
        self._sources, self._lock = sources, threading.Lock()
        self._digests: dict[str, str] = {}

    def add(self, files: Iterable[Path]) -> None:
        """Read files; called by several threads."""
        for path in files:
            with self._lock:
                name = self._names.pop(path, None)
            digest = None if name is None else unchanged_digest(path, self._sources[name])
            if name is not None and digest is not None:
                self._digests[name] = digest

    def record(self) -> DigestRecord:
        """Read the files that are left, and return the digests of all."""
        self.add(list(self._names))
        return DigestRecord(digests=dict(sorted(self._digests.items())))


def prepare_cases(
    files: Sequence[CasePaths],
    config: Config,
    folder: Path,
    workers: int,
    plan: Plan,
    digests: SourceDigests,
) -> tuple[list[StoredCase], list[str]]:
    """Prepare cases in threads: decoding and counting release the interpreter lock.

    Args:
        files: Files of each case.
        config: Sections data and labels are used.
        folder: Folder of the store.
        workers: Number of cases prepared in parallel.
        plan: Which of them are prepared part by part.
        digests: Gets the files of each prepared case.

    Returns:
        The prepared cases in any order, and one sentence for each fault of the others.
    """
    cases: list[StoredCase] = []
    faults: list[str] = []

    def build(one: CasePaths) -> StoredCase:
        volumes = plan.large.get(one.id)
        if volumes is None:
            case = prepare_case(one, config, folder)
        else:
            path, spacing = case_path(folder, one.id), config.data.spacing
            case = prepare_large_case(volumes, config.labels, spacing, path, plan.finish_part)
        digests.add(path for path in (*one.images, one.label) if path is not None)
        return case

    with ThreadPoolExecutor(workers) as pool:
        tasks = {pool.submit(build, one): one.id for one in files}
        try:
            for task in as_completed(tasks):
                try:
                    cases.append(task.result())
                except InputError as fault:
                    faults += fault.faults if isinstance(fault, InputErrors) else [str(fault)]
                if tasks[task] not in plan.large:
                    plan.finish_part()
        finally:  # on Ctrl-C or a full disk: cancel the remaining cases
            pool.shutdown(wait=True, cancel_futures=True)
    return cases, faults
