"""Every format: round trips keep voxels and geometry, faults are one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.io.formats import SUFFIXES, VOLUME_SUFFIXES, read, stem, suffix, volumes_in, write
from vesuv.io.formats.volume import Volume

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 250, (5, 6, 7), dtype=np.uint8)


@pytest.mark.parametrize("ending", VOLUME_SUFFIXES)
@pytest.mark.parametrize("kind", ["uint8", "int16", "float32"])
def test_voxels_and_type_survive_a_round_trip(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"a{ending}"

    write(path, IMAGE.astype(kind))

    back = read(path)
    assert back.array.dtype == kind
    assert np.array_equal(back.array, IMAGE)
    assert back.shape == (5, 6, 7)
    assert back.spacing == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("ending", VOLUME_SUFFIXES)
def test_channels_survive_a_round_trip(tmp_path: Path, ending: str) -> None:
    image = RNG.integers(0, 250, (2, 5, 6, 7), dtype=np.uint8)
    path = tmp_path / f"a{ending}"

    write(path, image)

    assert np.array_equal(read(path).channels, image)


@pytest.mark.parametrize("ending", [end for end in VOLUME_SUFFIXES if end != ".npy"])
def test_spacing_is_carried_over_from_another_format(tmp_path: Path, ending: str) -> None:
    like = Volume(IMAGE, (6.5, 0.75, 0.5), None)

    write(tmp_path / f"a{ending}", IMAGE, like)

    assert read(tmp_path / f"a{ending}").spacing == (6.5, 0.75, 0.5)


@pytest.mark.parametrize("ending", VOLUME_SUFFIXES)
def test_a_mask_written_like_its_image_has_the_image_s_geometry(
    tmp_path: Path, ending: str
) -> None:
    path, mask_path = tmp_path / f"a{ending}", tmp_path / f"mask{ending}"
    write(path, IMAGE.astype(np.int16), Volume(IMAGE, (2.0, 0.5, 0.25), None))
    image = read(path)

    write(mask_path, (image.array > 100).astype(np.uint8), image)

    mask = read(mask_path)
    assert mask.array.dtype == np.uint8
    assert mask.spacing == image.spacing
    assert np.array_equal(mask.array, IMAGE > 100)


@pytest.mark.parametrize("ending", VOLUME_SUFFIXES)
def test_an_existing_file_is_replaced_and_nothing_else_is_left(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write(path, IMAGE)

    write(path, IMAGE[:3])

    assert read(path).shape == (3, 6, 7)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [end for end in VOLUME_SUFFIXES if end != ".zarr"])
def test_a_file_cut_in_half_is_named_as_damaged(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write(path, RNG.integers(0, 255, (8, 20, 20), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(InputError, match=rf"a{ending}: .*(truncated|damaged).*copy it again"):
        read(path)


@pytest.mark.parametrize("ending", [end for end in VOLUME_SUFFIXES if end != ".zarr"])
def test_an_empty_file_is_named_as_empty(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.touch()

    with pytest.raises(InputError, match=r"the file is empty \(0 bytes\)"):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.tif: no such file"):
        read(tmp_path / "gone.tif")


def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"files end in one of \.tif.*found '\.gif'"):
        read(tmp_path / "a.gif")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match=r"cannot be written"):
        write(tmp_path / "file" / "a.npy", IMAGE)


def test_the_longest_ending_is_the_suffix() -> None:
    assert suffix("x/a.b.nii.gz") == ".nii.gz"
    assert stem("x/a.b.nii.gz") == "a.b"
    assert suffix("A.TIF") == ".tif"
    assert suffix("a.txt") == ""


def test_volumes_of_a_folder_are_sorted_and_hidden_files_left_out(tmp_path: Path) -> None:
    for name in ("b.tif", "a.npy", ".c.tif", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.zarr").mkdir()
    (tmp_path / "e.tif").mkdir()

    assert [path.name for path in volumes_in(tmp_path)] == ["a.npy", "b.tif", "d.zarr"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: no such folder"):
        volumes_in(tmp_path / "gone")


@pytest.mark.parametrize(("ending", "num_axes"), [(".npy", 1), (".npy", 5), (".zarr", 1)])
def test_another_number_of_axes_is_no_volume(tmp_path: Path, ending: str, num_axes: int) -> None:
    import zarr

    array = np.zeros((3,) * num_axes, np.uint8)
    if ending == ".npy":
        np.save(tmp_path / "a.npy", array)
    else:
        zarr.create_array(str(tmp_path / "a.zarr"), data=array)

    with pytest.raises(InputError, match=rf"a volume has 3 dimensions.*found {num_axes}"):
        read(tmp_path / f"a{ending}")


def test_a_link_that_leads_back_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tif").symlink_to("a.tif")

    with pytest.raises(InputError, match=r"a\.tif: is a link that leads back to itself; let it"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["x" * 5000 + ".tif", "x" * 300 + ".zarr"])
def test_a_path_that_is_too_long_is_named_in_part(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"^.{300}…: the path is longer than the system allows"):
        read(tmp_path / name)


def test_a_path_with_a_zero_byte_is_no_file() -> None:
    with pytest.raises(InputError, match="no such file; check the path"):
        read("a\0.tif")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("ending", SUFFIXES)
def test_a_pipe_is_refused_at_once(tmp_path: Path, ending: str) -> None:
    os.mkfifo(tmp_path / f"a{ending}")

    with pytest.raises(InputError, match="found a named pipe"):
        read(tmp_path / f"a{ending}")


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, closed: str) -> None:
    paths = [tmp_path / ending[1:] / f"a{ending}" for ending in VOLUME_SUFFIXES]
    shut = paths if closed == "file" else [path.parent for path in paths]
    for path in paths:
        write(path, IMAGE)
    tmp_path.chmod(0o755)
    for path in shut:
        path.chmod(0)
    code = (
        "import os, sys, SimpleITK, zarr, tifffile, nibabel; from vesuv.io.formats import read;"
        "os.geteuid() or os.setuid(65534);"
        "from vesuv.errors import InputError\n"
        "for path in sys.argv[1:]:\n"
        " try: read(path)\n"
        " except InputError as fault: print(fault)"
    )
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)

    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    for path in shut:
        path.chmod(0o755)

    said = done.stdout.splitlines()
    assert len(said) == len(paths), done.stderr
    for path, sentence in zip(paths, said, strict=True):
        assert sentence.startswith(f"{path}")
        assert "may not be read by this user; change the permissions" in sentence


@pytest.mark.parametrize("ending", [end for end in VOLUME_SUFFIXES if end not in (".nrrd", ".mha")])
def test_a_name_that_is_no_utf8_is_read_and_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xe9" + ending.encode())

    write(path, IMAGE)

    assert np.array_equal(read(path).array, IMAGE)


@pytest.mark.parametrize("ending", VOLUME_SUFFIXES)
def test_values_beyond_int64_survive_a_round_trip(tmp_path: Path, ending: str) -> None:
    array = np.full((3, 4, 5), 2**63 + 5, np.uint64)

    write(tmp_path / f"a{ending}", array)

    assert np.array_equal(read(tmp_path / f"a{ending}").array, array)
