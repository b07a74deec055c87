from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile

from vesuv.errors import InputError
from vesuv.io.formats import Volume, read, write
from vesuv.io.grid import check_same_grid, read_channels

ARRAY = np.zeros((4, 5, 6), np.uint8)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
IMAGE = Volume(ARRAY, (2.0, 1.0, 0.5), None, IDENTITY, (10.0, 20.0, 30.0), "mm")


def check(label: Volume, image: Volume = IMAGE) -> None:
    check_same_grid((Path("l.x"), label), (Path("i.x"), image))


def test_equal_grids_and_rounding_in_a_header_pass() -> None:
    check(IMAGE)
    check(replace(IMAGE, spacing=(2.001, 1.0, 0.5)))
    check(replace(IMAGE, direction=(1.0, 0.001, *IDENTITY[2:])))
    check(replace(IMAGE, origin=(10.9, 20.4, 30.2)))
    check(replace(IMAGE, array=np.zeros((3, 4, 5, 6))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"array": ARRAY[:2]},
            r"l\.x: image and label of a case have one shape, found label \(2, 5, 6\) and image "
            r"\(4, 5, 6\) \(i\.x\); export both on one grid",
        ),
        (
            {"spacing": (2.0, 1.0, 1.0)},
            r"one spacing, found label \(2\.0, 1\.0, 1\.0\) mm and image \(2\.0, 1\.0, 0\.5\) mm",
        ),
        (
            {"unit": "µm"},
            r"one spacing, found label \(2\.0, 1\.0, 0\.5\) µm and image \(2\.0, .* mm",
        ),
        ({"direction": (-1.0, *IDENTITY[1:])}, r"one orientation, found label \[-1\.0, 0\.0, 0\.0"),
        ({"origin": (11.1, 20.0, 30.0)}, r"one origin, found label \[11\.1, 20\.0, 30\.0\] and im"),
        ({"origin": (10.0, 20.6, 30.0)}, r"one origin"),
        ({"origin": (10.0, 20.0, 29.7)}, r"one origin"),
    ],
)
def test_another_grid_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(replace(IMAGE, **change))


def test_lengths_are_compared_in_one_unit() -> None:
    micro = replace(IMAGE, spacing=(2e3, 1e3, 5e2), origin=(10e3, 20e3, 30e3), unit="µm")

    check(micro)
    with pytest.raises(InputError, match="one origin"):
        check(replace(micro, origin=(10e3, 20e3, 30.3e3)))


def test_an_unknown_unit_goes_with_any() -> None:
    check(replace(IMAGE, unit=None))
    with pytest.raises(InputError, match="one spacing"):
        check(replace(IMAGE, unit=None, spacing=(2.0, 1.0, 0.4)))


def test_the_distance_is_taken_along_the_axes_of_a_turned_volume() -> None:
    # Quarter turn: the axis y of the array points along x, its axis x along -y.
    turned = replace(IMAGE, direction=(1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0))

    check(replace(turned, origin=(10.0, 20.0, 30.4)), turned)
    with pytest.raises(InputError, match="one origin"):
        check(replace(turned, origin=(10.0, 20.4, 30.0)), turned)


def test_a_file_that_says_nothing_goes_with_any_of_its_shape() -> None:
    plain = Volume(ARRAY, (1.0, 1.0, 1.0), None)

    check(plain)
    check(IMAGE, plain)
    with pytest.raises(InputError, match="one shape"):
        check(replace(plain, array=ARRAY[1:]))


def test_origins_in_different_coordinates_are_not_compared() -> None:
    check(replace(IMAGE, direction=None, origin=(0.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="one origin"):
        check(
            replace(IMAGE, direction=None, origin=(0.0, 0.0, 0.0)),
            replace(IMAGE, direction=None),
        )


def nifti(path: Path, *, x: float = 0.0) -> Path:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 3] = x
    nibabel.save(nibabel.Nifti1Image(ARRAY.T, affine), path)
    return path


def nrrd(path: Path, *, x: float = 0.0) -> Path:
    """The same grid as `nifti`, as ITK writes it: the axes x and y of RAS run backwards."""
    image = SimpleITK.GetImageFromArray(ARRAY)
    image.SetSpacing((1.0, 1.0, 2.0))
    image.SetOrigin((-x, 0.0, 0.0))
    image.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize(("make", "ending"), [(nifti, ".nii"), (nrrd, ".nrrd")])
def test_a_label_that_lies_elsewhere_is_refused_across_formats(
    tmp_path: Path, make: Any, ending: str
) -> None:
    image = nifti(tmp_path / "image.nii")
    near, far = (make(tmp_path / f"label{x}{ending}", x=x) for x in (0.4, 0.6))

    check_same_grid((near, read(near)), (image, read(image)))
    with pytest.raises(InputError, match=r"one origin, found label \[0\.0, -?0\.0, -0\.6\]"):
        check_same_grid((far, read(far)), (image, read(image)))


def test_an_ome_tiff_in_nanometres_lies_on_one_in_micrometres(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.8, "PhysicalSizeX": 0.8}
    nano = {key: 1000 * value for key, value in sizes.items()}
    nano |= {f"{key}Unit": "nm" for key in sizes}
    for name, metadata in (("i", sizes), ("l", nano), ("wrong", nano | {"PhysicalSizeX": 500})):
        metadata = {"axes": "ZYX", **metadata}
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", ARRAY, ome=True, metadata=metadata)
    image, label, wrong = (
        (tmp_path / f"{name}.ome.tif", read(tmp_path / f"{name}.ome.tif"))
        for name in ("i", "l", "wrong")
    )

    check_same_grid(label, image)
    with pytest.raises(InputError, match=r"found label \(2000\.0, 800\.0, 500\.0\) nm and image"):
        check_same_grid(wrong, image)


def test_channel_files_are_stacked_in_order(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        write(tmp_path / f"{name}.nrrd", np.full((4, 5, 6), value, np.uint8), IMAGE)

    first, image = read_channels([tmp_path / "b.nrrd", tmp_path / "a.nrrd"])

    assert first.spacing == (2.0, 1.0, 0.5)
    assert image.shape == (2, 4, 5, 6)
    assert image[:, 0, 0, 0].tolist() == [2, 1]


def test_one_file_may_hold_all_channels(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", np.zeros((3, 4, 5, 6), np.uint8))
    write(tmp_path / "b.npy", ARRAY)

    assert read_channels([tmp_path / "a.npy"])[1].shape == (3, 4, 5, 6)
    assert read_channels([tmp_path / "b.npy"])[1].shape == (1, 4, 5, 6)


def test_a_channel_file_on_another_grid_is_refused(tmp_path: Path) -> None:
    files = [nifti(tmp_path / "a.nii"), nifti(tmp_path / "b.nii", x=5.0)]

    with pytest.raises(
        InputError, match=r"b\.nii: channels of a case have one origin, found channel .*a\.nii"
    ):
        read_channels(files)
