"""Stores that the first version wrote: they open, train, and refuse what they lack."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from vesuv.config import Config, check
from vesuv.data.builder import open_matching_store, prepare
from vesuv.data.folds import load_folds
from vesuv.data.sampling import PatchSampler
from vesuv.data.store import Store
from vesuv.errors import InputError
from vesuv.io.formats import read

FORMER = Path(__file__).parent / "old_store"


def copied(folder: Path, name: str) -> Config:
    """A configuration for a copy of a store and its raw data, whose times are restored."""
    shutil.copytree(FORMER / "raw", folder / "raw")
    shutil.copytree(FORMER / name, folder / "store")
    for path, (_, time) in Store.open(folder / "store").sources.items():
        source = folder / "raw" / path
        for file in (p for p in (source, *source.rglob("*")) if p.is_file()):
            os.utime(file, ns=(time, time))
    return check(
        {
            "name": "old",
            "data": {
                "root": str(folder / "raw"),
                "store": str(folder / "store"),
                "spacing": [1.0, 1.0, 1.0] if name == "resampled" else None,
                "folds": {"num": 2},
            },
            "labels": {"classes": {"background": 0, "sheet": 1}, "ignore": 2},
            "sampling": {"patch_size": [8, 8, 8]},
            "model": {"filters": 2, "depth": 1},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
        },
        "old",
    )


@pytest.mark.parametrize("name", ["as_it_came", "resampled"])
def test_a_former_store_fits_its_data_and_is_sampled(tmp_path: Path, name: str) -> None:
    config = copied(tmp_path, name)

    store = prepare(config)

    assert store == open_matching_store(config)
    cases = list(store.cases.values())
    assert load_folds(store, config.data.folds).validation == (("c0",), ("c1",))
    assert len(PatchSampler.build(cases, config.sampling, seed=0).plan(0, 0)) == 2
    for case in cases:
        assert case.block_counts[1].sum() == np.count_nonzero(case.label == 1)
        assert case.statistics.mean == pytest.approx((case.image.mean(),))
        assert (case.unit, case.num_channels) == (None, 1)
    assert not (tmp_path / "store" / "summary.json").exists()


def test_the_label_of_a_former_store_is_the_native_one_unless_it_was_resampled(
    tmp_path: Path,
) -> None:
    store = Store.open(FORMER / "as_it_came")
    for name, case in store.cases.items():
        (label,) = (FORMER / "raw" / "train_labels").glob(f"{name}.*")
        assert np.array_equal(case.native_label == 1, read(label).array == 1)
        assert case.native_spacing == (2.0, 1.0, 1.0)

    for case in Store.open(FORMER / "resampled").cases.values():
        with pytest.raises(InputError, match=r"former version, .*; prepare again with --overwrite"):
            _ = case.native_label

    again = prepare(copied(tmp_path, "resampled"), overwrite=True)
    assert again.cases["c0"].native_label.shape == (8, 12, 12)
    now = again.dataset_statistics.foreground
    then = Store.open(FORMER / "resampled").dataset_statistics.foreground
    assert now is not None and then is not None
    assert (now.count, now.quantiles) == (then.count, then.quantiles)
    # sums are rounded by the processor's own order of additions
    assert (now.mean, now.std) == (pytest.approx(then.mean), pytest.approx(then.std))


def test_a_changed_chunk_of_a_former_store_is_found_by_its_time(tmp_path: Path) -> None:
    config = copied(tmp_path, "as_it_came")
    chunk = tmp_path / "raw/train_images/c1.zarr/0/c/0/0/0"
    os.utime(chunk)

    with pytest.raises(
        InputError, match=r"data\.root /nowhere/.*, and the files differ; prepare again"
    ):
        open_matching_store(config)


def test_another_patch_size_gives_a_former_store_a_summary_of_the_present_name(
    tmp_path: Path,
) -> None:
    config = copied(tmp_path, "as_it_came")
    sampling = config.sampling.model_copy(update={"patch_size": (16, 16, 16)})

    store = prepare(config.model_copy(update={"sampling": sampling}))

    assert store.summary.patch_size == (16, 16, 16)
    assert Store.open(store.path).summary == store.summary
    assert not (store.path / "census.json").exists()
