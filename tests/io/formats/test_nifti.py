from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from vesuv.errors import InputError
from vesuv.io.formats import Volume, read, write
from vesuv.io.lazy import open_lazy

RNG = np.random.default_rng(0)
OBLIQUE = np.array(
    [
        [-0.7, 0.1, 0.2, -177.95633],
        [0.1, 0.9, -0.3, 11.319],
        [0.05, 0.2, 3.1, 94.30176],
        [0, 0, 0, 1],
    ]
)


def source(path: Path, data: np.ndarray, kind: type = nibabel.Nifti1Image) -> Path:
    image = kind(data, OBLIQUE)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"scanner"
    nibabel.save(image, path)
    return path


def test_axes_are_z_y_x_and_the_spacing_follows(tmp_path: Path) -> None:
    data = RNG.integers(-900, 900, (4, 5, 6), dtype=np.int16)

    volume = read(source(tmp_path / "a.nii.gz", data))

    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, data.transpose(2, 1, 0))
    lengths = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    assert volume.spacing == pytest.approx(tuple(lengths[::-1]))


def test_numbers_of_instances_in_float64_stay_apart(tmp_path: Path) -> None:
    data = np.array([[[2.0**24, 2.0**24 + 1]]])  # one value in float32

    path = source(tmp_path / "a.nii", data)

    part = open_lazy(path).voxels.read((slice(0, 2), slice(0, 1), slice(0, 1)))
    for array in (read(path).array, part):
        assert array.ravel().tolist() == data.ravel().tolist()


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_mask_keeps_affine_and_header_bit_for_bit(
    tmp_path: Path, kind: type, ending: str
) -> None:
    path = source(tmp_path / f"a{ending}", RNG.normal(size=(4, 5, 6)).astype(np.float32), kind)
    volume = read(path)

    write(tmp_path / f"m{ending}", (volume.array > 0).astype(np.uint8), volume)

    before, after = nibabel.load(path), nibabel.load(tmp_path / f"m{ending}")
    assert type(before) is type(after)
    assert after.get_data_dtype() == np.uint8
    assert np.array_equal(before.affine, after.affine)
    assert np.array_equal(after.dataobj, (np.asarray(before.dataobj) > 0).astype(np.uint8))
    for key in ("pixdim", "xyzt_units", "descrip", "qform_code", "sform_code", "quatern_b"):
        assert np.array_equal(before.header[key], after.header[key]), key


def test_a_slope_is_applied_and_not_written_back(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.array([[[1, 2]]], np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 10.0)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    raw = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj)

    write(tmp_path / "b.nii", np.array([[[1]], [[0]]], np.uint8), volume)

    assert np.array_equal(volume.array.ravel(), raw.ravel())
    assert volume.array.dtype == np.float32
    assert read(tmp_path / "b.nii").array.ravel().tolist() == [1, 0]


def test_a_fourth_axis_is_channels_and_one_of_length_one_is_dropped(tmp_path: Path) -> None:
    data = RNG.integers(0, 9, (4, 5, 6, 2), dtype=np.int16)

    assert read(source(tmp_path / "a.nii", data)).array.shape == (2, 6, 5, 4)
    assert read(source(tmp_path / "b.nii", data[..., :1])).array.shape == (6, 5, 4)


@pytest.mark.parametrize(
    ("name", "unit"), [("meter", "m"), ("mm", "mm"), ("micron", "µm"), ("unknown", None)]
)
def test_the_header_s_unit_is_read(tmp_path: Path, name: str, unit: str | None) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), np.eye(4))
    image.header.set_xyzt_units(name)
    nibabel.save(image, tmp_path / "a.nii")

    assert read(tmp_path / "a.nii").unit == unit


@pytest.mark.parametrize(
    ("unit", "spacing", "name", "edges"),
    [
        ("mm", (3.0, 2.0, 1.0), "mm", (1.0, 2.0, 3.0)),
        ("nm", (3.0, 2.0, 500.0), "micron", (0.5, 0.002, 0.003)),
        (None, (3.0, 2.0, 1.0), "unknown", (1.0, 2.0, 3.0)),
    ],
)
def test_a_unit_of_another_format_is_written_in_one_that_nifti_has(
    tmp_path: Path,
    unit: str | None,
    spacing: tuple[float, ...],
    name: str,
    edges: tuple[float, ...],
) -> None:
    array = np.zeros((4, 3, 2), np.uint8)

    write(tmp_path / "a.nii", array, Volume(array, spacing, None, unit=unit))

    header = nibabel.load(tmp_path / "a.nii").header
    assert header.get_xyzt_units()[0] == name
    assert header.get_zooms() == pytest.approx(edges)


def test_place_and_orientation_are_in_lps_like_those_of_other_formats(tmp_path: Path) -> None:
    cosine, sine = np.cos(0.3), np.sin(0.3)
    turned = np.array([[-cosine, sine, 0, 7], [sine, cosine, 0, 8], [0, 0, 3, 9], [0, 0, 0, 1]])
    data = RNG.integers(0, 9, (4, 5, 6)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(data, turned), tmp_path / "a.nii")
    SimpleITK.WriteImage(
        SimpleITK.ReadImage(str(tmp_path / "a.nii")), str(tmp_path / "by_itk.nrrd")
    )

    volume, by_itk = read(tmp_path / "a.nii"), read(tmp_path / "by_itk.nrrd")

    assert np.array_equal(volume.array, by_itk.array)
    assert volume.origin == pytest.approx((9, -8, -7))
    assert volume.origin == pytest.approx(by_itk.origin)
    assert volume.direction == pytest.approx(by_itk.direction, abs=1e-6)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_header_of_two_voxel_sizes_is_refused(tmp_path: Path, name: str) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), np.diag([0.5, 0.5, 2, 1]))
    image.header["pixdim"][1:4] = 1
    nibabel.save(image, tmp_path / name)

    with pytest.raises(InputError, match=r"pixdim 1×1×1, sform 0\.5×0\.5×2 \(x, y, z\)"):
        read(tmp_path / name)


def test_the_shear_of_a_tilted_gantry_is_no_second_voxel_size(tmp_path: Path) -> None:
    sheared = np.diag([0.5, 0.5, 2, 1])
    sheared[1, 2] = 2 * np.tan(np.deg2rad(30))
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), sheared)
    image.header["pixdim"][3] = 2
    nibabel.save(image, tmp_path / "a.nii")

    assert read(tmp_path / "a.nii").spacing == (2, 0.5, 0.5)


def test_a_header_without_affine_says_nothing_of_place(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), None)
    nibabel.save(image, tmp_path / "a.nii")

    volume = read(tmp_path / "a.nii")

    assert (volume.direction, volume.origin) == (None, None)


def changed_header(path: Path, place: int, values: bytes) -> Path:
    write(path.with_name("plain.nii"), np.zeros((4, 4, 4), np.uint8))
    data = bytearray(path.with_name("plain.nii").read_bytes())
    data[place : place + len(values)] = values
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_header_of_a_pair_is_refused(tmp_path: Path, name: str) -> None:
    path = changed_header(tmp_path / name, 344, b"ni1\0")
    (tmp_path / "a.img").write_bytes(bytes(64))

    with pytest.raises(InputError, match=r"must lie in the file itself, found the magic b'ni1"):
        read(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("offset", [1.9e9, -4.0, float("nan"), float("inf")])
def test_voxels_that_begin_beyond_reason_are_refused(
    tmp_path: Path, name: str, offset: float
) -> None:
    path = changed_header(tmp_path / name, 108, struct.pack("<f", offset))

    with pytest.raises(InputError, match=r"its voxels begin at byte \d+ at the latest, found"):
        read(path)


def test_a_file_that_is_no_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"abcd" * 200)

    with pytest.raises(InputError, match=r"not a NIfTI file: its header begins with b'abcd'"):
        read(tmp_path / "a.nii")


def test_scaling_counts_as_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = changed_header(tmp_path / "a.nii", 112, struct.pack("<2f", 2.5, 1.0))
    plain = tmp_path / "plain.nii"
    monkeypatch.setattr("vesuv.io.formats.volume.memory_limit", lambda: 64.0 * 12)

    assert read(plain).shape == (4, 4, 4)
    with pytest.raises(InputError, match=r"its voxels \(4, 4, 4\) take 0\.0 GiB, one file may"):
        read(path)
