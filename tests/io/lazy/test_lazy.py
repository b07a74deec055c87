"""Regions of files equal the same regions of the whole files."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import ClassVar, Literal

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from tests.http_server import serving
from tests.s3_server import serving_s3
from vesuv.errors import InputError
from vesuv.io.formats import read, write
from vesuv.io.lazy import open_lazy
from vesuv.types import Array

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 60000, (11, 13, 17)).astype(np.uint16)
REGION = (slice(2, 9), slice(0, 13), slice(5, 16))


def check(path: Path, like: Path | None = None) -> None:
    """Compare regions and geometry with what `read` gives."""
    lazy, whole = open_lazy(path), read(like or path)
    assert lazy.voxels.shape == whole.channels.shape
    part = lazy.voxels.read(REGION)
    assert part.dtype == lazy.voxels.dtype == whole.array.dtype.newbyteorder("=")
    assert np.array_equal(part, whole.channels[(slice(None), *REGION)])
    assert lazy.header.array.shape == whole.array.shape
    for name in ("spacing", "unit", "origin", "direction"):
        assert getattr(lazy.header, name) == getattr(whole, name), name


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i4", "f4", "f8"])
def test_npy(tmp_path: Path, dtype: str) -> None:
    for array in (IMAGE, np.stack([IMAGE, IMAGE[::-1]])):
        np.save(tmp_path / "a.npy", array.astype(dtype))
        check(tmp_path / "a.npy")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_nifti(tmp_path: Path, dtype) -> None:
    for array in (IMAGE, np.stack([IMAGE, IMAGE[::-1]])):
        image = nibabel.Nifti1Image(array.astype(dtype).T, np.diag([0.5, 0.7, 2.0, 1.0]))
        nibabel.save(image, tmp_path / "a.nii")
        lazy, whole = open_lazy(tmp_path / "a.nii"), read(tmp_path / "a.nii")
        assert np.array_equal(lazy.voxels.read(REGION), whole.channels[(slice(None), *REGION)])
        assert lazy.header.array.dtype == whole.array.dtype == lazy.voxels.dtype
        assert lazy.header.spacing == whole.spacing == pytest.approx((2.0, 0.7, 0.5))


def test_a_scaled_nifti_is_scaled_alike(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(IMAGE.astype(np.int16).T, np.eye(4))
    image.header.set_slope_inter(0.37, -12.5)
    nibabel.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = np.array([0.37, -12.5], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)

    check(tmp_path / "a.nii")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"imagej": True}, {"ome": True}])
def test_tiff(tmp_path: Path, compression: str | None, options) -> None:
    for array, axes in ((IMAGE, "ZYX"), (np.stack([IMAGE, IMAGE[::-1]]), "CZYX")):
        if options.get("imagej") and axes == "CZYX":
            array, axes = array.swapaxes(0, 1), "ZCYX"
        metadata = {"metadata": {"axes": axes}}
        tifffile.imwrite(
            tmp_path / "a.tif",
            array,
            compression=compression,
            photometric="minisblack",
            **metadata,
            **options,
        )
        check(tmp_path / "a.tif")


def test_a_tiff_of_tiles_across_slices_is_refused(tmp_path: Path) -> None:
    image = np.zeros((20, 20, 20), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(16, 16, 16), volumetric=True)

    with pytest.raises(InputError, match="one page for each slice, found 1 for 20 slices"):
        open_lazy(tmp_path / "a.tif")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_arrays(tmp_path: Path, zarr_format) -> None:
    options = {"shards": (8, 8, 8)} if zarr_format == 3 else {}
    zarr.create_array(
        str(tmp_path / "a.zarr"), data=IMAGE, chunks=(4, 4, 4), zarr_format=zarr_format, **options
    )
    check(tmp_path / "a.zarr")


@pytest.mark.parametrize(("fill_value", "version"), [(np.nan, 2), (np.nan, 3), (None, 2)])
def test_chunks_that_were_never_written_hold_zeros(
    tmp_path: Path, fill_value: float | None, version: Literal[2, 3]
) -> None:
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=(8, 8, 8),
        chunks=(4, 4, 4),
        dtype="f4",
        fill_value=fill_value,
        zarr_format=version,
    )
    array[4:] = 1.5

    voxels = open_lazy(tmp_path / "a.zarr").voxels.read((slice(3, 5), slice(0, 8), slice(0, 8)))

    assert (voxels[0, 0] == 0.0).all() and (voxels[0, 1] == 1.5).all()
    assert np.array_equal(read(tmp_path / "a.zarr").array[3:5], voxels[0])


def ome_zarr(path: Path, version: str) -> Path:
    """Write an image of two levels, axes t, c, z, y, x."""
    zarr_format = 2 if version == "0.4" else 3
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    datasets = []
    for level in range(2):
        step = 2**level
        data = IMAGE[None, None, ::step, ::step, ::step]
        group.create_array(str(level), data=data, chunks=(1, 1, 4, 4, 4))
        scale = [1.0, 1.0, 0.4 * step, 0.3 * step, 0.2 * step]
        transforms = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *axes]
    content = {"version": version, "axes": axes, "datasets": datasets}
    group.attrs.update(
        {"multiscales": [content]} if version == "0.4" else {"ome": {"multiscales": [content]}}
    )
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_levels_of_ome_zarr(tmp_path: Path, version: str) -> None:
    path = ome_zarr(tmp_path / "a.zarr", version)

    check(path)
    coarse = open_lazy(path, level=1)
    assert coarse.shape == (6, 7, 9)
    assert coarse.header.spacing == (0.8, 0.6, 0.4)
    assert np.array_equal(
        coarse.voxels.read((slice(1, 3), slice(0, 7), slice(2, 9)))[0],
        IMAGE[::2, ::2, ::2][1:3, :, 2:],
    )
    with pytest.raises(InputError, match="--level: the image has levels 0 to 1, found 2"):
        open_lazy(path, level=2)


def test_compressed_files_are_read_whole(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "a.nrrd"):
        write(tmp_path / name, IMAGE)
        check(tmp_path / name)


def test_what_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", IMAGE[0, 0])
    np.save(tmp_path / "fortran.npy", np.asfortranarray(IMAGE))
    (tmp_path / "junk.npy").write_bytes(b"junk")
    zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
    zarr.create_array(str(tmp_path / "one.zarr"), data=IMAGE[0, 0])

    for name, sentence in {
        "flat.npy": "a volume has 3 dimensions",
        "fortran.npy": "found Fortran order",
        "junk.npy": "cannot be opened, truncated or damaged",
        "missing.npy": "no such file",
        "empty.zarr": "no `multiscales`",
        "one.zarr": r"found 1 \(array",
    }.items():
        with pytest.raises(InputError, match=sentence):
            open_lazy(tmp_path / name)
    np.save(tmp_path / "a.npy", IMAGE)
    with pytest.raises(InputError, match="--level: only OME-Zarr images have levels, found 1"):
        open_lazy(tmp_path / "a.npy", level=1)


class _Quiet(SimpleHTTPRequestHandler):
    failures: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.failures and self.path.endswith(self.failures[0]):
            self.failures.pop(0)
            self.send_error(503)
            return
        super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with serving(_Quiet, tmp_path) as url:
        yield url


def read_remote(url: str, **options) -> Array:
    return open_lazy(url, **options).voxels.read(REGION)[0]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_http(tmp_path: Path, server: str, version: str) -> None:
    pytest.importorskip("aiohttp")
    ome_zarr(tmp_path / "a.zarr", version)

    assert np.array_equal(read_remote(f"{server}/a.zarr"), IMAGE[REGION])
    with pytest.raises(InputError, match="holds no Zarr array or group"):
        open_lazy(f"{server}/b.zarr")


def test_a_request_that_fails_is_repeated(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("vesuv.io.lazy.remote._FIRST_PAUSE", 0.001)
    ome_zarr(tmp_path / "a.zarr", "0.5")
    _Quiet.failures = ["c/0/0/1/1/2"] * 2

    assert np.array_equal(read_remote(f"{server}/a.zarr"), IMAGE[REGION])
    assert _Quiet.failures == []
    _Quiet.failures = ["c/0/0/1/1/2"] * 9
    with pytest.raises(InputError, match=r"cannot be read .*start the same command again"):
        read_remote(f"{server}/a.zarr")
    _Quiet.failures = []


@pytest.mark.parametrize("anonymous", [False, True])
def test_s3_with_credentials_and_without(tmp_path: Path, anonymous: bool) -> None:
    ome_zarr(tmp_path / "scrolls/a.zarr", "0.4")

    with serving_s3(tmp_path) as server:
        server.is_private = not anonymous
        voxels = read_remote("s3://scrolls/a.zarr", anonymous=anonymous)
        with pytest.raises(InputError, match=r"s3://scrolls/b\.zarr: holds no Zarr"):
            open_lazy("s3://scrolls/b.zarr", anonymous=anonymous)

    assert np.array_equal(voxels, IMAGE[REGION])
    assert server.has_signature == {not anonymous}
