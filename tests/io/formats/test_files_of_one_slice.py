"""NIfTI, NRRD, MetaImage and NPY files of two axes are volumes of one slice, as PNG is."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from vesuv.io.formats import read, write
from vesuv.io.formats.crop import cropped
from vesuv.io.lazy import open_lazy
from vesuv.io.slabs import write_slabs

PIXELS = np.random.default_rng(0).integers(0, 200, (6, 9), dtype=np.uint8)
"""(y, x)."""
MASK = (PIXELS > 99).astype(np.uint8)
ENDINGS = [".npy", ".nii", ".nii.gz", ".nrrd", ".mha"]


def write_image(path: Path) -> None:
    """Write PIXELS as a file of two axes, with edges 0.5 (x) and 2 (y) where it states any."""
    if path.suffix == ".npy":
        np.save(path, PIXELS)
    elif ".nii" in path.name:
        image = nibabel.Nifti1Image(PIXELS.T, np.diag([0.5, 2.0, 1.0, 1.0]))
        nibabel.save(image, path)
    else:
        image = SimpleITK.GetImageFromArray(PIXELS)
        image.SetSpacing((0.5, 2.0))
        image.SetOrigin((3.0, 4.0))
        SimpleITK.WriteImage(image, str(path))


def axes_of(path: Path) -> tuple[int, ...]:
    """Shape of a file by its own library."""
    if path.suffix == ".npy":
        return tuple(np.load(path).shape)
    if ".nii" in path.name:
        return tuple(nibabel.load(path).shape)
    return tuple(SimpleITK.ReadImage(str(path)).GetSize())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_two_axes_is_one_slice(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)

    volume = read(path)

    assert np.array_equal(volume.array, PIXELS[np.newaxis])
    assert volume.spacing == ((1.0, 1.0, 1.0) if ending == ".npy" else (1.0, 2.0, 0.5))


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_one_slice_lies_in_the_plane_z_0(tmp_path: Path, ending: str) -> None:
    write_image(tmp_path / f"a{ending}")

    volume = read(tmp_path / f"a{ending}")

    assert volume.origin == (0.0, 4.0, 3.0)
    assert volume.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_the_origin_of_a_box_of_one_slice_moves(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)

    box = cropped(read(path), PIXELS[np.newaxis, 1:4, 2:5], (0, 1, 2))
    write(path, box.array, like=box)

    assert read(path).origin == (0.0, 4.0 + 1 * 2.0, 3.0 + 2 * 0.5)


def _whole(path: Path) -> None:
    write(path, MASK[np.newaxis], like=read(path))


def _in_slabs(path: Path) -> None:
    def slab(_: int, part: slice) -> np.ndarray:
        return MASK[np.newaxis][part]

    write_slabs(path, (1, 6, 9), MASK.dtype, slab, like=open_lazy(path).header)


@pytest.mark.parametrize(
    ("ending", "write_mask"),
    [*((ending, _whole) for ending in ENDINGS), *((ending, _in_slabs) for ending in ENDINGS[:3])],
)
def test_a_mask_has_the_axes_of_its_image(
    tmp_path: Path, ending: str, write_mask: Callable[[Path], None]
) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)
    shape, header = axes_of(path), read(path)

    write_mask(path)

    assert axes_of(path) == shape
    assert np.array_equal(read(path).array, MASK[np.newaxis])
    assert (read(path).spacing, read(path).origin) == (header.spacing, header.origin)


@pytest.mark.parametrize("ending", ENDINGS)
def test_probabilities_of_classes_keep_their_channels(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path)
    probs = np.random.default_rng(1).random((3, 1, 6, 9), dtype=np.float32)

    write(path, probs, like=read(path))

    assert np.array_equal(read(path).array, probs)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_colours_of_two_axes_are_channels(tmp_path: Path, ending: str) -> None:
    colours = np.random.default_rng(2).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    image = SimpleITK.GetImageFromArray(colours, isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / f"a{ending}"))

    array = read(tmp_path / f"a{ending}").array

    assert np.array_equal(array, np.moveaxis(colours, -1, 0)[:, np.newaxis])


@pytest.mark.parametrize("ending", ENDINGS)
def test_regions_of_one_slice_are_read(tmp_path: Path, ending: str) -> None:
    write_image(tmp_path / f"a{ending}")

    volume = open_lazy(tmp_path / f"a{ending}")
    part = volume.voxels.read((slice(0, 1), slice(2, 5), slice(1, 9)))

    assert volume.shape == (1, 6, 9)
    assert np.array_equal(part, PIXELS[np.newaxis, np.newaxis, 2:5, 1:9])
