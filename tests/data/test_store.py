from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from vesuv.data.blocks import count_blocks
from vesuv.data.labels import IGNORE
from vesuv.data.records import CaseAttributes
from vesuv.data.statistics import case_statistics
from vesuv.data.store import Store, StoredCase, case_path, open_case, write_case
from vesuv.errors import InputError

RNG = np.random.default_rng(0)
LABEL = RNG.choice(np.array([0, 1, 2, IGNORE], np.uint8), (20, 33, 16))
NATIVE = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def stored(folder: Path, image: np.ndarray[Any, Any], **changes: Any) -> StoredCase:
    attributes = CaseAttributes(
        version=1,
        id="a",
        group="s1",
        shape=LABEL.shape,
        spacing=(6.5, 0.5, 0.25),
        num_channels=len(image),
        num_classes=3,
        dtype=image.dtype.name,
        values={-1: 560, 0: 10000},
        statistics=case_statistics(image, LABEL),
    ).model_copy(update=changes)
    arrays = {"image": image, "label": LABEL, "blocks": count_blocks(LABEL, 3)}
    if "native_shape" in changes:
        arrays["native_label"] = NATIVE
    path = case_path(folder, "a")
    assert write_case(path, attributes, arrays) == open_case(path)
    return open_case(path)


@pytest.mark.parametrize("kind", ["uint8", "int16", ">i2", "uint16", "float32", "float16"])
def test_a_case_reads_back_through_memory_maps_and_through_zarr(tmp_path: Path, kind: str) -> None:
    image = RNG.integers(0, 100, (2, *LABEL.shape)).astype(kind)

    case = stored(tmp_path, image)

    group = zarr.open_group(str(case.path), mode="r")
    assert group.attrs["id"] == "a"
    for name, ours, wanted in (
        ("image", case.image, image),
        ("label", case.label, LABEL),
        ("blocks", case.block_counts, count_blocks(LABEL, 3)),
    ):
        assert np.array_equal(ours, wanted), name
        assert np.array_equal(np.asarray(group[name]), wanted), name
    assert isinstance(case.image, np.memmap)
    assert case.image.dtype == image.dtype.newbyteorder("=")


def test_an_image_of_zeros_has_a_chunk_too(tmp_path: Path) -> None:
    case = stored(tmp_path, np.zeros((1, *LABEL.shape), np.uint8))

    assert not case.image.any()


def test_maps_cannot_be_written(tmp_path: Path) -> None:
    case = stored(tmp_path, np.zeros((1, *LABEL.shape), np.uint8))

    with pytest.raises(ValueError, match="read-only"):
        case.label[0, 0, 0] = 1


def test_what_the_attributes_say_comes_back_typed(tmp_path: Path) -> None:
    case = stored(tmp_path, np.zeros((1, *LABEL.shape), np.uint8))

    assert (case.id, case.group, case.shape) == ("a", "s1", (20, 33, 16))
    assert case.spacing == (6.5, 0.5, 0.25)
    assert case.values == {-1: 560, 0: 10000}
    assert (case.unit, case.dtype) == (None, np.uint8)


def test_a_case_that_was_not_resampled_is_its_own_native_one(tmp_path: Path) -> None:
    case = stored(tmp_path, np.zeros((1, *LABEL.shape), np.uint8))

    assert (case.native_shape, case.native_spacing) == (case.shape, case.spacing)
    assert np.array_equal(case.native_label, LABEL)
    assert not (case.path / "native_label").exists()


def test_a_resampled_case_maps_the_label_of_its_file_too(tmp_path: Path) -> None:
    grid = {"native_shape": (2, 3, 4), "native_spacing": (1.0, 2.0, 3.0), "unit": "mm"}

    case = stored(tmp_path, np.zeros((1, *LABEL.shape), np.uint8), **grid)

    assert (case.native_shape, case.native_spacing, case.unit) == tuple(grid.values())
    assert isinstance(case.native_label, np.memmap)
    assert np.array_equal(case.native_label, NATIVE)
    group = zarr.open_group(str(case.path), mode="r")
    assert np.array_equal(np.asarray(group["native_label"]), NATIVE)
    assert np.array_equal(pickle.loads(pickle.dumps(case)).native_label, NATIVE)


def test_a_resampled_case_without_the_label_of_its_file_refuses_that_alone(tmp_path: Path) -> None:
    case = stored(tmp_path, np.zeros((1, *LABEL.shape), np.uint8), values={0: 24})

    assert np.array_equal(case.label, LABEL)
    for name in ("native_shape", "native_spacing", "native_label"):
        with pytest.raises(
            InputError, match=r"a\.zarr: was resampled by .* again with --overwrite"
        ):
            getattr(case, name)


def test_a_pickled_case_is_light_and_opens_its_maps_anew(tmp_path: Path) -> None:
    case = stored(tmp_path, RNG.integers(0, 9, (1, *LABEL.shape), dtype=np.uint8))
    assert case.image.any()
    assert case.block_counts.any()

    sent = pickle.dumps(case)

    copy = pickle.loads(sent)
    assert len(sent) < len(pickle.dumps(case.statistics)) + 2_000
    assert copy == case
    assert np.array_equal(copy.image, case.image)


def test_a_cut_chunk_is_named_when_it_is_opened(tmp_path: Path) -> None:
    case = stored(tmp_path, np.ones((1, *LABEL.shape), np.uint8))
    chunk = case.path / "label" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-5])

    with pytest.raises(InputError, match=r"damaged store: 10560 bytes expected, found 10555"):
        _ = case.label


def test_a_chunk_cut_while_it_is_mapped_is_named_before_it_is_read(tmp_path: Path) -> None:
    case = stored(tmp_path, np.ones((1, *LABEL.shape), np.uint8))
    assert case.label.shape == LABEL.shape
    chunk = case.path / "label" / "c" / "0" / "0" / "0"
    with chunk.open("r+b") as file:
        file.truncate(100)

    with pytest.raises(InputError, match=r"became shorter while it was read; prepare again"):
        _ = case.label
    chunk.unlink()
    assert case.label.shape == LABEL.shape


def test_a_missing_store_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no prepared store here; run vesuv prepare first"):
        Store.open(tmp_path)


def test_a_store_that_is_no_json_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text("{")

    with pytest.raises(InputError, match=r"store\.json: a damaged store"):
        Store.open(tmp_path)


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(json.dumps({"version": 99}))

    with pytest.raises(InputError, match=r"store version must be 1 to 2, found 99 of a newer"):
        Store.open(tmp_path)


def test_a_chunk_that_is_a_link_out_of_the_case_is_refused(tmp_path: Path) -> None:
    case = stored(tmp_path, np.ones((1, *LABEL.shape), np.uint8))
    chunk = case.path / "image/c/0/0/0/0"
    (tmp_path / "secret").write_bytes(chunk.read_bytes())
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")

    with pytest.raises(InputError, match=r"its files must lie in it, found .*secret; prepare ag"):
        _ = open_case(case.path).image
