"""Training and validation cases of a fold, with their normalizer and class fractions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vesuv.config import Config
from vesuv.data.case import PreparedCase
from vesuv.data.folds import FILE, Folds, folds_of_file, load_folds, make_folds
from vesuv.data.layouts import find_cases
from vesuv.data.preparation import channel_faults
from vesuv.data.splits import DEFAULT, splits_file
from vesuv.data.statistics import merge_statistics
from vesuv.data.store import Store
from vesuv.errors import InputError, InputErrors
from vesuv.inference.case_memory import check_whole_case
from vesuv.transforms.normalize import Normalizer, build_normalizer

FoldName = int | Literal["all"]
"""A fold number, or "all": train on every case."""


@dataclass(frozen=True)
class TrainingData:
    """All prepared cases of a data set, and their split into folds.

    Args:
        cases: Case id -> case.
        folds: The split.
        fingerprint: Fingerprint of the data set.
        store: Folder of the prepared data; None: the cases are in memory.
    """

    cases: Mapping[str, PreparedCase]
    folds: Folds
    fingerprint: str
    store: Path | None = None

    @classmethod
    def of_store(cls, store: Store, config: Config) -> TrainingData:
        """Return a store's cases, split by its folds file."""
        folds = load_folds(store, config.data.folds, splits_file(config.data))
        return cls(store.cases, folds, store.fingerprint, store.path)

    @classmethod
    def in_memory(cls, cases: Sequence[PreparedCase], config: Config) -> TrainingData:
        """Return prepared cases in memory, split by `data.folds`."""
        section, ids = config.data.folds, [case.id for case in cases]
        file = splits_file(config.data) if section.file != DEFAULT else None
        folds = folds_of_file(file, ids) if file is not None else make_folds(cases, section)
        return cls({case.id: case for case in cases}, folds, _digest(cases))

    def __str__(self) -> str:
        """Path or name of the data, for messages."""
        return str(self.store) if self.store else "the cases in memory"


@dataclass(frozen=True)
class FoldData:
    """Training and validation cases of one fold, and their normalizer.

    Args:
        train: Cases of the training patches.
        validation: Cases of the validation tiles; the training cases for fold "all".
        normalizer: Normalizer from the statistics of the training cases.
        class_fractions: Share of each class among the training cases' valid voxels.
        store: Folder of the prepared data; None: the cases are in memory.
    """

    train: Sequence[PreparedCase]
    validation: Sequence[PreparedCase]
    normalizer: Normalizer
    class_fractions: tuple[float, ...]
    store: Path | None

    @property
    def held_out_ids(self) -> list[str]:
        """Validation cases that are not trained on."""
        trained = {case.id for case in self.train}
        return [case.id for case in self.validation if case.id not in trained]

    @property
    def is_held_out(self) -> bool:
        """Whether any validation case is not trained on."""
        return bool(self.held_out_ids)


def check_fold_numbers(
    config: Config, folds: Sequence[FoldName], store: Store | None = None
) -> None:
    """Refuse a number that no fold has, as far as it is known before folds are drawn or read.

    Args:
        config: The configuration.
        folds: What the user asks for.
        store: The prepared data; None: they will be prepared.

    Raises:
        InputError: No such fold, or the cases cannot be split.
    """
    if store is not None and (store.path / FILE).is_file():
        known = TrainingData.of_store(store, config).folds
    elif splits_file(config.data) is None:
        cases = [case for case in find_cases(config.data) if case.cube is None]
        known = make_folds(cases, config.data.folds)
    else:
        return
    for fold in folds:
        known.split(fold)


def fold_data(data: TrainingData, config: Config, fold: FoldName) -> FoldData:
    """Return the cases of one fold.

    Raises:
        InputError: No such fold, no valid voxel or no foreground to train on, or a case is too
            large to be judged as a whole.
    """
    train_ids, validation_ids = data.folds.split(fold)
    train = [data.cases[name] for name in _drawn(train_ids, config)]
    assert train[0].num_channels == config.model.in_channels, "with_channels comes first"
    counts = np.sum([case.block_counts[:-1].sum(axis=(1, 2, 3)) for case in train], axis=0)
    total = int(counts.sum())
    if total == 0:
        raise InputError(
            f"{data}: every voxel of the training cases is ignored; check labels.ignore"
        )
    if total == counts[0]:
        raise InputError(
            f"{data}: every judged voxel of the training cases is {config.labels.names[0]}, so "
            "there is nothing to learn; check labels.classes, or label more"
        )
    statistics = merge_statistics(case.statistics for case in train)
    validation = [data.cases[name] for name in validation_ids]
    validation = validation or [case for case in train if case.attributes.cut_from is None]
    if config.validation.full_every is not None:
        for case in validation:
            check_whole_case(case, config.model.out_channels, num_networks=1)
    return FoldData(
        train=train,
        validation=validation,
        normalizer=build_normalizer(config.data.normalize, statistics),
        class_fractions=tuple(float(count) / total for count in counts),
        store=data.store,
    )


def _drawn(ids: Sequence[str], config: Config) -> list[str]:
    """Return the `train.cases` ids of a run."""
    num = config.train.cases
    if num is None:
        return list(ids)
    if num > len(ids):
        raise InputError(
            f"train.cases: the fold has {len(ids)} training cases, found {num}; lower it, or set "
            "null for all"
        )
    order = np.random.default_rng(config.runtime.seed % 2**64).permutation(len(ids))
    return sorted(ids[place] for place in order[:num])


def with_channels(config: Config, data: TrainingData) -> Config:
    """Return the configuration with `model.in_channels` as in the data.

    Raises:
        InputErrors: It is written, and a case has another number of channels.
    """
    cases = list(data.cases.values())
    faults = channel_faults([case.attributes for case in cases], config.model.written_channels)
    if faults:
        raise InputErrors([f"{data}: {fault}" for fault in faults])
    channels = {"in_channels": cases[0].num_channels}
    return config.model_copy(update={"model": config.model.model_copy(update=channels)})


def _digest(cases: Sequence[PreparedCase]) -> str:
    """Return a digest of the cases' voxels, grids and groups, which the folds depend on."""
    digest = hashlib.sha256()
    for case in cases:
        grid = (case.id, case.group, case.spacing, case.image.dtype.name, case.image.shape)
        digest.update(repr(grid).encode())
        for array in (case.image, case.label):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
