"""A voxel of a box lies where it lay in the volume, by each format's own library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
import zarr

from vesuv.io.formats import read, write
from vesuv.io.formats.crop import cropped

START = (2, 3, 4)
SHAPE = (8, 9, 10)
IMAGE = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
BOX = IMAGE[2:6, 3:7, 4:8]


def _cut(source: Path, target: Path) -> None:
    volume = read(source)
    box = cropped(volume, volume.array[2:6, 3:7, 4:8], START)
    write(target, box.array, box)
    assert np.array_equal(read(target).array, BOX)


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_the_matrices_of_a_nifti_move_with_the_first_voxel(
    tmp_path: Path, codes: tuple[int, int]
) -> None:
    library: Any = nibabel
    turn = np.array([[0.0, -2.0, 0.0], [1.5, 0.0, 0.0], [0.0, 0.0, 3.0]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (10.0, 20.0, -30.0)
    image = library.Nifti1Image(IMAGE.T, affine)
    image.set_qform(affine, code=codes[0])
    image.set_sform(affine, code=codes[1])
    library.save(image, tmp_path / "a.nii.gz")

    _cut(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")

    header = library.load(tmp_path / "b.nii.gz").header
    expected = affine @ (4, 3, 2, 1)  # the first voxel of the box, x first
    for (matrix, code), written in zip(
        (header.get_qform(coded=True), header.get_sform(coded=True)), codes, strict=True
    ):
        assert code == written
        if code:
            np.testing.assert_allclose(matrix @ (0, 0, 0, 1), expected, atol=1e-4)
            np.testing.assert_allclose(matrix[:3, :3], turn, atol=1e-5)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_the_origin_of_an_itk_file_moves(tmp_path: Path, ending: str) -> None:
    sitk: Any = SimpleITK
    image = sitk.GetImageFromArray(IMAGE)
    image.SetSpacing((0.5, 2.0, 3.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    image.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))

    _cut(tmp_path / f"a{ending}", tmp_path / f"b{ending}")

    box = sitk.ReadImage(str(tmp_path / f"b{ending}"))
    place = image.TransformIndexToPhysicalPoint((4, 3, 2))
    assert box.GetOrigin() == pytest.approx(place)
    assert box.GetSpacing() == image.GetSpacing() and box.GetDirection() == image.GetDirection()


@pytest.mark.parametrize(
    ("transforms", "expected"),
    [
        ([], [2.0, 3.0, 4.0]),
        ([{"type": "scale", "scale": [2.0, 0.5, 0.25]}], [4.0, 1.5, 1.0]),
        (
            [
                {"type": "scale", "scale": [2.0, 0.5, 0.25]},
                {"type": "translation", "translation": [100.0, 10.0, 1.0]},
            ],
            [104.0, 11.5, 2.0],
        ),
    ],
)
def test_the_translation_of_an_ome_zarr_moves(
    tmp_path: Path, transforms: list[dict[str, Any]], expected: list[float]
) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    group.create_array("0", data=IMAGE)
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    dataset: dict[str, Any] = {"path": "0"}
    if transforms:
        dataset["coordinateTransformations"] = transforms
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [dataset]}]}
    group.attrs["ome"] = ome

    _cut(tmp_path / "a.zarr", tmp_path / "b.zarr")

    written: Any = dict(zarr.open_group(str(tmp_path / "b.zarr"), mode="r").attrs)["ome"]
    (level,) = written["multiscales"][0]["datasets"]
    scale, translation = level["coordinateTransformations"]
    assert translation == {"type": "translation", "translation": expected}
    assert scale["scale"] == (transforms[0]["scale"] if transforms else [1.0, 1.0, 1.0])
    assert read(tmp_path / "b.zarr").origin == tuple(expected)


def test_image_and_label_of_a_box_lie_on_one_grid(tmp_path: Path) -> None:
    """Also where the volume's own place is stated in turned axes."""
    sitk: Any = SimpleITK
    image = sitk.GetImageFromArray(IMAGE)
    image.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    volume = read(tmp_path / "a.nrrd")

    box = cropped(volume, BOX, START)
    write(tmp_path / "b.nrrd", BOX, box)

    assert read(tmp_path / "b.nrrd").origin == pytest.approx(box.origin)


def test_a_tiff_and_an_npy_keep_their_header(tmp_path: Path) -> None:
    metadata = {"spacing": 3.0, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE.astype(np.uint16), imagej=True, metadata=metadata,
        resolution=(2.0, 4.0),
    )  # fmt: skip
    np.save(tmp_path / "a.npy", IMAGE)

    _cut(tmp_path / "a.tif", tmp_path / "b.tif")
    _cut(tmp_path / "a.npy", tmp_path / "b.npy")

    box = read(tmp_path / "b.tif")
    assert (box.spacing, box.unit) == ((3.0, 0.25, 0.5), "µm")
