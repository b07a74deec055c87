"""The cases of one fold, and what training needs to know of them as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vesuv.config import Config
from vesuv.data.folds import load_folds
from vesuv.data.statistics import merge_statistics
from vesuv.data.store import Store, StoredCase
from vesuv.errors import InputError
from vesuv.transforms.normalize import Normalizer, build_normalizer

Fold = int | Literal["all"]
"""A fold number, or "all": every case in training."""


@dataclass(frozen=True)
class FoldData:
    """Training and validation cases, and how their intensities are scaled.

    Args:
        train: Cases that patches are drawn from.
        validation: Cases that tiles are cut from; the training cases for fold "all".
        normalizer: Made from the training cases.
        class_fractions: Share of each class among the training cases' judged voxels.
        store: Folder that they are stored in.
    """

    train: Sequence[StoredCase]
    validation: Sequence[StoredCase]
    normalizer: Normalizer
    class_fractions: tuple[float, ...]
    store: Path


def fold_data(store: Store, config: Config, fold: Fold) -> FoldData:
    """Split the store as its folds file says.

    Raises:
        InputError: No such fold, a channel count other than the network's, or no judged voxel.
    """
    train_ids, validation_ids = load_folds(store, config.data.folds).split(fold)
    train = [store.cases[name] for name in train_ids]
    _check_channels(train, config, store.path)
    counts = sum(np.asarray(c.block_counts[:-1].sum(axis=(1, 2, 3))) for c in train)
    total = int(np.sum(counts))
    if total == 0:
        raise InputError(
            f"{store.path}: every voxel of the training cases is ignored; check labels.ignore"
        )
    statistics = merge_statistics(case.statistics for case in train)
    return FoldData(
        train=train,
        validation=[store.cases[name] for name in validation_ids or train_ids],
        normalizer=build_normalizer(config.data.normalize, statistics),
        class_fractions=tuple(float(count) / total for count in np.atleast_1d(counts)),
        store=store.path,
    )


def _check_channels(cases: Sequence[StoredCase], config: Config, path: Path) -> None:
    for case in cases:
        if case.num_channels != config.model.in_channels:
            raise InputError(
                f"model.in_channels: must equal the images' channels ({case.num_channels} in case "
                f"{case.id} of {path}), found {config.model.in_channels}"
            )
