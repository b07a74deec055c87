"""Files that are written slab by slab equal those that are written at once."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from vesuv.io import slabs
from vesuv.io.formats import Volume, read, write
from vesuv.io.slabs import SLAB_SUFFIXES, write_slabs
from vesuv.types import Array

MASK = np.random.default_rng(0).integers(0, 3, (11, 13, 17)).astype(np.uint8)


def likes(folder: Path) -> list[Volume]:
    nibabel.save(nibabel.Nifti1Image(MASK.T, np.diag([0.5, 0.7, 2.0, 1.0])), folder / "l.nii")
    tifffile.imwrite(folder / "l.tif", MASK, imagej=True, metadata={"axes": "ZYX", "spacing": 2.5})
    tifffile.imwrite(folder / "p.tif", MASK, compression="zlib", photometric="minisblack")
    np.save(folder / "l.npy", MASK)
    write(folder / "o.zarr", MASK, Volume(MASK, (2.0, 0.7, 0.5), None, unit="nm"))
    zarr.create_array(str(folder / "p.zarr"), data=MASK)
    names = ("l.nii", "l.tif", "p.tif", "l.npy", "o.zarr", "p.zarr")
    return [read(folder / name) for name in names]


@pytest.mark.parametrize("suffix", [*SLAB_SUFFIXES, ".nrrd"])
@pytest.mark.parametrize("slab_bytes", [1, 1000, 1 << 28])
def test_any_format_and_geometry(
    tmp_path: Path, suffix: str, slab_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slabs, "_SLAB_BYTES", slab_bytes)
    monkeypatch.setattr(slabs, "CHUNK_EDGE", 4)
    for like in likes(tmp_path):
        for array in (MASK, np.stack([MASK, 2 - MASK]).astype(np.float32)):

            def read_slab(channel: int, z: slice, array: Array = array) -> Array:
                return (array if array.ndim == 4 else array[None])[channel, z]

            at_once, by_slab = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
            write(at_once, array, like)
            write_slabs(by_slab, array.shape, array.dtype, read_slab, like)

            first, second = read(at_once), read(by_slab)
            assert np.array_equal(second.array, array)
            assert second.spacing == first.spacing
            assert (second.unit, second.direction) == (first.unit, first.direction)


def test_tiff_of_more_than_four_gigabytes_is_bigtiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.io.formats.tiff._MAX_CLASSIC", MASK.nbytes - 1)
    for like in likes(tmp_path):
        write(tmp_path / "a.tif", MASK, like)
        write_slabs(tmp_path / "b.tif", MASK.shape, MASK.dtype, lambda _, z: MASK[z], like)

        for name in ("a.tif", "b.tif"):
            with tifffile.TiffFile(tmp_path / name) as tif:
                is_raw_imagej = like.unit is None and like.spacing == (2.5, 1.0, 1.0)
                assert (tif.is_bigtiff, tif.is_imagej) == (not is_raw_imagej, is_raw_imagej)
            volume = read(tmp_path / name)
            assert np.array_equal(volume.array, MASK)
            assert volume.spacing == like.spacing
