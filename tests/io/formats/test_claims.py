"""What a small file claims is looked at before memory is taken for it."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from vesuv.errors import InputError
from vesuv.io.formats import read, write
from vesuv.io.formats.volume import FormatError, check_claimed_size


def test_a_claim_beyond_the_file_is_refused_and_one_within_is_not() -> None:
    check_claimed_size((2, 3, 4), 2, max_bytes=48)

    with pytest.raises(FormatError, match=r"claims \(2, 3, 4\) voxels, 48 bytes, .* 47 at most"):
        check_claimed_size((2, 3, 4), 2, max_bytes=47)


def test_a_claim_beyond_the_memory_of_the_machine_is_refused() -> None:
    with pytest.raises(FormatError, match=r"take 931322\.6 GiB, one file may take .*; cut the"):
        check_claimed_size((10**5,) * 3, 1)


@pytest.mark.parametrize("shape", ["(100000, 100000, 10)", "(1000, 1000, 2000)"])
def test_an_npy_header_that_claims_more_than_follows_is_refused(tmp_path: Path, shape: str) -> None:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.encode() + bytes(64))

    with pytest.raises(
        InputError, match=r"a\.npy: truncated or damaged: its header claims .* 64 a"
    ):
        read(path)


@pytest.mark.parametrize("kind", ["float32", "uint16"])
def test_an_npy_file_of_the_second_version_is_read(tmp_path: Path, kind: str) -> None:
    voxels = np.arange(24, dtype=kind).reshape(2, 3, 4)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, voxels, version=(2, 0))

    assert np.array_equal(read(tmp_path / "a.npy").array, voxels)


def test_an_npy_file_with_objects_runs_nothing(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self):
            return open, (str(tmp_path / "owned"), "w")

    np.save(tmp_path / "a.npy", np.array([[[Runs()]]], dtype=object), allow_pickle=True)

    with pytest.raises(InputError, match=r"a\.npy: .*allow_pickle=False"):
        read(tmp_path / "a.npy")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_nifti_header_that_claims_more_than_follows_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.nii", np.zeros((4, 4, 4), np.uint8))
    data = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<4h", data, 40, 3, 2000, 1000, 1000)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)

    with pytest.raises(InputError, match=r"its header claims \(2000, 1000, 1000\) voxels"):
        read(tmp_path / name)


def test_a_mountain_behind_a_small_nifti_header_is_not_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", np.zeros((4, 4, 4), np.uint8))
    whole = (tmp_path / "a.nii").read_bytes() + bytes(80 * 2**20)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(whole, 1))

    with pytest.raises(InputError, match=r"a\.nii\.gz: holds more than its header says"):
        read(tmp_path / "a.nii.gz")


def change_zarr(path: Path, **changes: object) -> None:
    write(path, np.ones((6, 7, 8), np.uint8))
    head = json.loads((path / "zarr.json").read_text())
    (path / "zarr.json").write_text(json.dumps(head | changes))


def test_a_zarr_of_more_voxels_than_memory_is_refused(tmp_path: Path) -> None:
    change_zarr(tmp_path / "a.zarr", shape=[10**5, 10**5, 10**5])

    with pytest.raises(InputError, match=r"a\.zarr: its voxels .* take .* GiB, one file may"):
        read(tmp_path / "a.zarr")


def test_a_zarr_of_countless_small_chunks_is_refused(tmp_path: Path) -> None:
    change_zarr(tmp_path / "a.zarr", shape=[600, 700, 800])

    with pytest.raises(InputError, match=r"a\.zarr: its 1000000 chunks of \(6, 7, 8\) voxels"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize("place", ["../../secret.zarr", "..", "/etc"])
def test_an_ome_zarr_does_not_lead_out_of_its_folder(tmp_path: Path, place: str) -> None:
    write(tmp_path / "secret.zarr", np.full((4, 4, 4), 7, np.uint8))
    path = tmp_path / "in" / "a.zarr"
    path.mkdir(parents=True)
    scales = {"axes": ["z", "y", "x"], "datasets": [{"path": place}]}
    head = {"zarr_format": 3, "node_type": "group"}
    attributes = {"ome": {"multiscales": [scales]}}
    (path / "zarr.json").write_text(json.dumps(head | {"attributes": attributes}))

    with pytest.raises(InputError, match=r"a\.zarr: cannot be read as Zarr"):
        read(path)


@pytest.mark.parametrize("name", ["a.tif", "a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.npy"])
def test_a_folder_of_a_volumes_name_is_no_volume(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    with pytest.raises(InputError, match="is no file; give a volume in"):
        read(tmp_path / name)


def test_a_device_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "a.npy").symlink_to("/dev/zero")

    with pytest.raises(InputError, match=r"a\.npy: is no file; give a volume in NPY"):
        read(tmp_path / "a.npy")


def test_a_tiff_page_that_unpacks_beyond_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.io.formats.volume.memory_limit", lambda: 1000.0)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 16, 16), np.uint8), compression="zlib")

    with pytest.raises(InputError, match=r"a\.tif: its voxels \(8, 16, 16\) take 0\.0 GiB"):
        read(tmp_path / "a.tif")
