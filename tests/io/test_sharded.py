"""Shards that are written once, and pyramids of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import zarr

from vesuv.errors import InputError
from vesuv.io.formats import read
from vesuv.io.lazy import open_lazy
from vesuv.io.pyramid import (
    labels_of_eight,
    mean_of_eight,
    num_levels,
    write_metadata,
    write_pyramid,
)
from vesuv.io.sharded import ShardedArray

IMAGE = np.random.default_rng(0).integers(1, 200, (21, 16, 33)).astype(np.uint8)


def array(path: Path, fill_value: int = 0) -> ShardedArray:
    return ShardedArray.create(
        path, IMAGE.shape, IMAGE.dtype, chunks=(4, 4, 4), shards=(8, 8, 8), fill_value=fill_value
    )


def test_digests_are_those_of_the_files(tmp_path: Path) -> None:
    target = array(tmp_path / "0")
    region = (slice(16, 21), slice(8, 16), slice(0, 33))
    voxels = IMAGE[region].copy()
    voxels[:, :, 8:16] = 0

    digests = target.write(region, voxels)

    assert set(digests) == {f"c/2/1/{x}" for x in range(5)}
    assert digests.pop("c/2/1/1") is None  # fill values alone
    for name, digest in digests.items():
        assert hashlib.sha256((tmp_path / "0" / name).read_bytes()).hexdigest() == digest
    assert np.array_equal(target[region], voxels)
    assert target.holds(digests)
    (tmp_path / "0/c/2/1/0").write_bytes(b"x")
    assert not target.holds(digests)


def test_a_torn_shard_is_replaced(tmp_path: Path) -> None:
    target = array(tmp_path / "0")
    (tmp_path / "0/c/0/0").mkdir(parents=True)
    (tmp_path / "0/c/0/0/0").write_bytes(b"torn")
    (tmp_path / "0/c/0/0/0.abc.partial").write_bytes(b"torn")
    region = (slice(0, 8),) * 3

    target.write(region, IMAGE[region])
    target.remove_partial_files()

    assert np.array_equal(target[region], IMAGE[region])
    assert [path.name for path in (tmp_path / "0/c/0/0").iterdir()] == ["0"]


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = array(tmp_path / "0")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vesuv.io.sharded._synced_digest", full)
    with pytest.raises(InputError, match=r"No space left on device.*start the same command again"):
        target.write((slice(0, 8),) * 3, IMAGE[:8, :8, :8])


def test_means_are_rounded_and_edges_repeated(tmp_path: Path) -> None:
    source = array(tmp_path / "0")
    source.write([slice(0, edge) for edge in IMAGE.shape], IMAGE)

    assert write_pyramid(tmp_path, mean_of_eight, smallest=10) == num_levels(IMAGE.shape, 10) == 3

    padded = np.pad(IMAGE, [(0, 1), (0, 0), (0, 1)], mode="edge").astype(int)
    blocks = padded.reshape(11, 2, 8, 2, 17, 2).sum(axis=(1, 3, 5))
    assert np.array_equal(ShardedArray(tmp_path / "1")[...], (blocks + 4) // 8)
    assert ShardedArray(tmp_path / "2").shape == (6, 4, 9)


def test_labels_are_the_most_frequent_that_is_not_background() -> None:
    voxels = np.zeros((2, 2, 8), np.uint8)
    voxels[0, 0, 0] = 3
    voxels[0, :, 2], voxels[1, 0, 2] = 5, 2
    voxels[0, 0, 4], voxels[1, 1, 4] = 9, 4

    assert labels_of_eight(0)(voxels).tolist() == [[[3, 5, 4, 0]]]
    assert labels_of_eight(3)(np.where(voxels == 0, 3, 0).astype(np.uint8)).max() == 3


def test_coarse_levels_lie_where_the_fine_one_lies(tmp_path: Path) -> None:
    source = array(tmp_path / "a.zarr/0")
    source.write([slice(0, edge) for edge in IMAGE.shape], IMAGE)
    count = write_pyramid(tmp_path / "a.zarr", mean_of_eight, smallest=20)
    import tifffile

    sizes = {f"PhysicalSize{axis}": edge for axis, edge in zip("ZYX", (2.0, 1.0, 0.5), strict=True)}
    tifffile.imwrite(tmp_path / "like.ome.tif", IMAGE, metadata={"axes": "ZYX", **sizes})

    write_metadata(tmp_path / "a.zarr", read(tmp_path / "like.ome.tif"), count, 3, {})

    coarse = open_lazy(tmp_path / "a.zarr", level=1)
    assert coarse.header.spacing == (4.0, 2.0, 1.0)
    assert coarse.header.origin == (1.0, 0.5, 0.25)  # between the centres of the two fine voxels
    assert np.array_equal(read(tmp_path / "a.zarr").array, IMAGE)
    levels = [zarr.open_array(str(tmp_path / f"a.zarr/{k}")) for k in range(count)]
    assert count > 1 and all(one.metadata.dimension_names == ("z", "y", "x") for one in levels)
